// Reader: what of ours the kernel has.
//
//   const Result<Ruleset> ruleset = read_ruleset(transport, plan.chain);
//   ruleset->diff.intact();  // it is as we build it
//   const Result<InstalledPortsAt> held = read_installed_ports(transport, owner, "hostports");
//
// Everything is read key by key or chain by chain, so it costs the same whatever else the table
// holds; only what reads whole sets dumps, for list and GC, and of large ones the smallest. What
// does not exist is an answer, not an error: a table that was never made reads as "not intact" and
// "nothing installed". Each function reads the ruleset generation first, so a transaction that
// carries it is decided on what was read. Errors: mapping_failed with object and errno; EINTR when
// a dump was interrupted by a change. Does not promise: a consistent picture across two calls.
// Source: kernel nf_tables_api.c.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/base/netlink.hpp"
#include "nft/installed_ports.hpp"
#include "nft/owner_entry.hpp"
#include "nft/ruleset.hpp"
#include "nft/snapshot.hpp"

namespace portmapper::nft {

struct Ruleset {
  std::uint32_t generation = 0;
  RulesetDiff diff;
  bool has_egress = false;  // table nft-port-mapper-egress is there
};
Result<Ruleset> read_ruleset(Transport& transport, const NetworkChain& network);
Result<Ruleset> read_skeleton(Transport& transport);
Result<std::uint32_t> read_generation(Transport& transport);
Result<bool> has_table(Transport& transport);
Result<bool> has_guard(Transport& transport);  // chain localnet-guard, as we build it

// What of a network chain is not ours, whatever its configuration; `wanted`: what is known of that,
// for chains of older versions and such as were loaded again.
Result<ChainDamage> read_chain_damage(Transport& transport, const std::string& chain,
                                      std::span<const NetworkChain* const> wanted = {});

// Which sets of the skeleton and the network are missing or of another type.
Result<std::vector<Damage>> read_set_damage(Transport& transport, const std::string& chain);

// The chain whose comment names the network; empty: there is none.
Result<std::string> read_chain_of_network(Transport& transport, const std::string& network);

// The names of all network chains there are.
Result<std::vector<std::string>> read_network_chains(Transport& transport);

struct InstalledPortsAt {
  std::uint32_t generation = 0;
  InstalledPorts installed;
  std::optional<bool> others_publish{};  // where reading it has shown that, too
};
// `chain`: where its targets may be, if its own entries do not say (a table loaded by `nft -f`);
// where they are not there, the other network chains are looked through. Claims that have lost their
// owner entries are found in a dump of all, where the entries that are left say that there were more, or
// where they are sought.
enum class Lost : std::uint8_t { if_some_are_missing, sought };
Result<InstalledPortsAt> read_installed_ports(Transport& transport, const OwnerHash& owner,
                                              const std::string& chain,
                                              Lost lost_ports = Lost::if_some_are_missing);

// Whether anybody but this owner publishes a port. It costs the same with 100,000: the kernel
// counts, or (before Linux 6.16) a peek shows the first entry of another.
Result<bool> others_publish(Transport& transport, const InstalledPorts& installed);

// A peek too. A set that does not exist is empty.
Result<bool> is_set_empty(Transport& transport, const std::string& set);

Result<std::vector<Claim>> read_claims(Transport& transport,
                                       const std::vector<PublishedPort>& ports);
Result<std::vector<std::optional<Endpoint>>> read_targets(Transport& transport,
                                                          const std::string& chain,
                                                          const std::vector<PublishedPort>& ports);
// Those that there are, with the port's number, and how many connections went there.
using VisitTarget =
    std::function<void(std::size_t number, const Endpoint& to, std::uint64_t connections)>;
Status visit_targets(Transport& transport, const std::string& chain,
                     const std::vector<PublishedPort>& ports, const VisitTarget& visit);

// All hairpin elements: as many as there are subnets (or containers, where each has a /32).
Result<std::vector<Hairpin>> read_hairpins(Transport& transport);
// Those that hold the beginning of one of `wanted`, read by key; where one does not cover the
// wanted one alone, all of them.
Result<std::vector<Hairpin>> read_hairpins(Transport& transport,
                                           const std::vector<Hairpin>& wanted);

// What the plan's attachment shares with others; whether its device is open is not known here.
Result<Shared> read_shared(Transport& transport, const Plan& plan);
// Who needs the devices of `installed`: as long as many do, a peek tells.
Result<DeviceUse> read_device_use(Transport& transport, const InstalledPorts& installed);
// What we opened for 127.0.0.0/8 or ::1, and who needs which device.
Result<std::vector<std::string>> read_opened_devices(Transport& transport, Family family);
Result<std::map<OwnerHash, std::string>> read_device_users(Transport& transport, Family family);
// By which ::1 reaches an attachment, as recorded; empty: by none.
Result<std::string> read_loopback6_device(Transport& transport, const OwnerHash& owner);
// Nothing where the sets exist that tell which ports 127.0.0.0/8 reaches.
Result<std::vector<ClaimEntry>> read_unlisted_loopback(Transport& transport);

// Of `addresses` those that the network chain does not exclude for ports on any address.
Result<std::vector<IpAddress>> read_not_excluded(Transport& transport, const std::string& chain,
                                                 std::vector<IpAddress> addresses);

// Whether the four target maps of a network chain have no element.
struct Emptiness {
  std::uint32_t generation = 0;
  bool empty = false;
};
Result<Emptiness> read_emptiness(Transport& transport, const std::string& chain);

Result<std::vector<OwnerEntry>> read_owners(Transport& transport);

// The same, and the standby elements that no owner entry stands for.
struct Stray {
  OwnerHash owner{};
  std::uint32_t index = 0;
  Endpoint endpoint;
};
struct Owners {
  std::vector<OwnerEntry> entries;
  std::vector<Stray> strays;
};
Result<Owners> read_owners_and_standby(Transport& transport);

Result<std::vector<ClaimEntry>> read_claim_set(Transport& transport, Suffix suffix);
// The elements of a loopback set, as ports on any address.
Result<std::vector<ClaimEntry>> read_loopback_set(Transport& transport, Family family);

struct TargetEntry {
  PublishedPort published;
  Endpoint endpoint;
  std::string comment;
  std::uint64_t connections = 0;
};
Result<std::vector<TargetEntry>> read_target_map(Transport& transport, const std::string& chain,
                                                 Suffix suffix);

}  // namespace portmapper::nft
