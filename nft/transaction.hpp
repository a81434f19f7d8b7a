// Transaction: one netlink batch as inert data, with one printed form.
//
//   const Transaction transaction = insertion(plan);
//   to_string(transaction);          // create element inet nft-port-mapper published-ip { ... }
//   commit(transport, transaction);  // nft/commit: all of it or none of it
//
// The printed form is an nft script that does the same, but for what nft has no words for: our own
// userdata. `create` is NLM_F_EXCL: the kernel refuses an element that is there. Errors: none;
// nothing here talks to the kernel. Does not promise: that the order within one set is the kernel's.
// Source: kernel net/netfilter/nf_tables_api.c, nf_tables_newsetelem; packaging/doc/design.md, "The
// state model".
#pragma once

#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "nft/installed_ports.hpp"
#include "nft/owner_entry.hpp"
#include "nft/plan.hpp"
#include "nft/ruleset.hpp"
#include "nft/set.hpp"

namespace portmapper::nft {

struct Element {
  Key key;
  Key key_end{};  // of intervals
  Key data{};     // of maps
};

enum class ElementVerb {
  create,  // is refused where the key exists
  add,     // may exist
  remove,  // must exist
};

struct Elements {
  ElementVerb verb;
  SetSpec set;
  std::string userdata;  // the same for all of them
  std::vector<Element> elements;
  std::string chain{};  // of verdict maps: goto there
};

struct AddTable {};
struct CreateTable {};  // is refused where it exists
struct DeleteTable {};
struct AddSet {
  SetSpec set;
};
struct AddChain {
  std::string name;
  std::optional<Hook> hook{};
  std::optional<ChainOwner> owner{};  // of one that is there it stays what it was
};
struct DeleteChain {
  std::string name;
};
struct FlushChain {
  std::string name;
};
struct DeleteSet {
  std::string name;
};
struct FlushSet {
  std::string name;
};
struct AddRule {
  std::string chain;
  Rule rule;
  RulePlace place{};  // of a network chain's
};

using Operation = std::variant<AddTable, CreateTable, DeleteTable, AddSet, AddChain, DeleteChain,
                               FlushChain, DeleteSet, FlushSet, AddRule, Elements>;

struct Transaction {
  std::vector<Operation> operations{};
  // The ruleset generation that this was decided on; the kernel refuses the batch (ERESTART) when
  // anything has changed since. Nothing: whatever the generation is.
  std::optional<std::uint32_t> generation{};
  const char* table = kTable;  // which of ours all of it is about

  void append(Transaction other);
};

// The elements of one ADD.
Transaction insertion(const Plan& plan);
// The same without its hairpins, for many plans whose hairpins were added at once.
Transaction insertion_of_ports(const Plan& plan);
// All that the kernel holds for one attachment.
Transaction removal(const InstalledPorts& installed, bool with_hairpins = true);
// The ports of nft/siblings' successors begin to lead to them. `with_sets`: makes anew what an
// operator deleted.
Transaction promotion(std::span<const InstalledPorts> successors, bool with_sets);
// The record of a device that we opened for 127.0.0.0/8 or ::1, and its end.
Transaction opened_device_added(Family family, const std::string& device);
Transaction opened_device_removed(Family family, const std::string& device);
// The devices whose record a transaction ends: their setting, or route, has to end before it.
std::vector<std::string> closed_devices(const Transaction& transaction, Family family);
// Lets loopback addresses reach ports that were published before, and records by which devices.
Transaction device_users_added(Family family, std::span<const LocalnetUser> users);
Transaction loopback_addition(std::span<const ClaimEntry> claims);
// The end of either, of one attachment and of one port.
Transaction device_user_removed(Family family, const OwnerHash& owner);
Transaction loopback_removed(const PublishedPort& port);
Transaction addition(std::span<const Hairpin> hairpins);
Transaction removal(std::span<const Hairpin> hairpins);
// The hairpin elements of all subnets, which nobody needs when nothing is published.
Transaction hairpins_removal();

// The skeleton, built anew over whatever is left of it. `jumps`: every network chain there is;
// `replaced`: chains that have to go first, since they hang elsewhere or tell another owner.
Transaction build_tables(std::span<const std::string> jumps, std::span<const std::string> replaced);
// The same, and a network chain with its maps; or several.
Transaction build_tables(const NetworkChain& network, std::span<const std::string> jumps,
                         std::span<const std::string> replaced);
Transaction build_tables(std::span<const NetworkChain> networks, std::span<const std::string> jumps,
                         std::span<const std::string> replaced);

// A network chain and its maps, taken out; `jumps`: the network chains that stay.
Transaction delete_network(const std::string& chain, std::span<const std::string> jumps);

std::string to_string(const Operation& operation, const char* table = kTable);
std::string to_string(const Transaction& transaction);

}  // namespace portmapper::nft
