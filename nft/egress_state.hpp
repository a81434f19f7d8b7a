// EgressState: what table nft-port-mapper-egress has, as one look at it saw it.
//
//   const Result<EgressState> state = read_egress(transport);
//   const Transaction gone = decide_unmasquerade(owner, *state);
//   commit(transport, gone);  // refused where anybody changed the ruleset since
//
// read_egress dumps the owners and the sources, of which there is one for each address of a container
// that is masqueraded. A listing that was loaded again has lost the chains of its owners: they are
// those of their addresses' sources. Errors: mapping_failed with the errno of a dump; EINTR when
// somebody changed the ruleset meanwhile: read again. Source: kernel nf_tables_api.c;
// packaging/doc/egress.md.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lib/base/netlink.hpp"
#include "nft/damage.hpp"
#include "nft/egress.hpp"
#include "nft/rule_form.hpp"
#include "nft/transaction.hpp"

namespace portmapper::nft {

// One address that one attachment wants to be masqueraded. A source whose address no owner entry has,
// since somebody deleted that, is its comment's attachment's (`lost`); or, where the comment names none,
// nobody's, with a hash of its own.
struct EgressEntry {
  enum class Record : std::uint8_t { whole, lost, nobodys };
  OwnerHash owner{};
  std::uint32_t index = 0;
  IpAddress address{};
  std::string comment{};
  std::string chain{};
  NetworkNamespace netns{};
  std::optional<OwnerHash> network{};    // where the comment may not tell
  std::optional<OwnerHash> container{};  // likewise
  Record record = Record::whole;
  bool restored = false;  // made by restore, not by an ADD
};
bool is_of_network(const EgressEntry& entry, std::string_view network);

// Where the packets of an address go.
struct EgressTarget {
  std::string chain;
  std::string comment;

  bool operator==(const EgressTarget&) const = default;
};

struct EgressState {
  std::uint32_t generation = 0;
  bool exists = false;           // the table
  std::vector<Damage> damage{};  // of the table, its base chain's hook, and its sets
  std::vector<EgressEntry> owners{};
  std::map<IpAddress, EgressTarget> sources{};
};

Result<EgressState> read_egress(Transport& transport);
// What a chain's rules do, in order; nothing where there is no such chain.
Result<std::vector<RuleForm>> read_egress_rules(Transport& transport, const std::string& chain);

// Of a plan with `egress`. Builds the table where it is not as we build it, and replaces what the
// attachment had. An address that another attachment wants too is led by the plan: the runtime has
// just given it away, so the other's container had it before. A restored plan, whose record may be old by now, gives
// way where the attachment's own ADD masqueraded another address.
Transaction decide_masquerade(const Plan& plan, const EgressState& state);
// An address that another attachment wants goes to that one; a chain that nobody wants is deleted, with
// what else leads there, and with the last owner the table: where containers go on, without what they
// had (`LastOne::leaves_table`), an empty one stays until the next withdrawal, since the kernel ends the
// translation of living connections with its last nat chain. No operations: there was nothing.
enum class LastOne : std::uint8_t { takes_table, leaves_table };
Transaction decide_unmasquerade(const OwnerHash& owner, const EgressState& state,
                                LastOne last_one = LastOne::takes_table);
// The same of what restore began in that namespace, and nothing of what an ADD did since.
Transaction decide_take_back(const OwnerHash& owner, const NetworkNamespace& netns,
                             const EgressState& state);
// The addresses that a transaction, decided on the state, leads elsewhere, or no more.
std::set<IpAddress> led_anew(const Transaction& transaction, const EgressState& state);
// Without the ends of chains, which the kernel refused since somebody's own rule goes there: they stay
// empty.
Transaction without_chain_ends(Transaction transaction);

// As read_egress_rules, by chain; the base chain's too.
using EgressRules = std::map<std::string, std::vector<RuleForm>>;
// What is not as the plan's ADD left it.
std::vector<std::string> check_egress(const Plan& plan, const EgressState& state,
                                      const EgressRules& rules);
struct EgressFinding {
  std::string what;
  std::string advice{};      // where it is not mendable
  bool is_mendable = false;  // by decide_egress_again
};
// What nobody's configuration has to tell: of the table, and of each owner's addresses.
std::vector<EgressFinding> check_egress(const EgressState& state, const EgressRules& rules);
// Puts back what needs no configuration: the base chain, the sets, and the elements of addresses whose owners'
// chains are there. No operations: nothing of that is missing.
Transaction decide_egress_again(const EgressState& state, const EgressRules& rules);

}  // namespace portmapper::nft
