// Snapshot: what one command knows of the kernel and of the host when it decides.
//
//   Snapshot snapshot;  // lib/app/look fills it, a section at a time
//   const Decision decision = decide_add(plan, snapshot);
//   if (const auto* more = std::get_if<ReadMore>(&decision)) use(more->section);  // read that
//
// Pure data. Each section is absent until it was read; the generation is read before every section,
// so a transaction that carries it is decided on nothing older. `refused` is what the kernel's
// refusals of earlier tries have taught. Errors: none. Source: packaging/doc/design.md, "Read,
// decide, commit".
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/network_namespace.hpp"
#include "nft/damage.hpp"
#include "nft/installed_ports.hpp"
#include "nft/names.hpp"
#include "nft/owner_entry.hpp"
#include "nft/plan.hpp"
#include "nft/userdata.hpp"

namespace portmapper::nft {

// Chains and rules of the table against what we build.
struct RulesetDiff {
  std::vector<Damage> damage{};
  std::vector<std::string> wrong_hooks{};  // base chains of ours that hang elsewhere
  // Of the network chain, where it exists.
  std::optional<ChainOwner> chain_owner{};
  bool chain_has_other_rules = false;

  [[nodiscard]] bool intact() const { return damage.empty(); }
  bool operator==(const RulesetDiff&) const = default;
};

// A network chain whose configuration is not known.
struct ChainDamage {
  ChainOwner owner{};
  bool lacks_jump = false;
  std::vector<Damage> damage;  // of its rules and its maps

  [[nodiscard]] bool intact() const { return !lacks_jump && damage.empty(); }
  bool operator==(const ChainDamage&) const = default;
};

// The claim of a port: whether there is one, and whose it says to be.
struct Claim {
  bool exists = false;
  std::string comment{};
  std::optional<OwnerHash> owner{};

  bool operator==(const Claim&) const = default;
};

// The devices by which 127.0.0.0/8 and ::1 reach `installed`: whether the removal of its ports ends
// what we opened there. They are recorded, and no other attachment needs them.
struct DeviceUse {
  bool ends_localnet = false;
  bool ends_route = false;

  bool operator==(const DeviceUse&) const = default;
};

// An attachment that holds ports, and what was seen of its life.
struct OwnerState {
  InstalledPorts installed;
  LifeSigns life{};
  DeviceUse device_use{};  // where a device is recorded for it

  bool operator==(const OwnerState&) const = default;
};

// A port that a plan wants, or that overlaps with one that it wants.
struct OccupiedPort {
  PublishedPort port;
  bool claimed = false;
  std::optional<OwnerHash> owner{};  // as the claim, or else an owner entry, says
  std::optional<Endpoint> target{};  // in the plan's chain

  bool operator==(const OccupiedPort&) const = default;
};

// What stands where a plan wants to publish. Read only after the kernel refused the plan.
struct Occupancy {
  std::vector<OccupiedPort> ports;
  std::map<OwnerHash, OwnerState> owners;  // of those ports, and the plan's own attachment

  bool operator==(const Occupancy&) const = default;
};

// What an attachment shares with others, as far as its ADD touches it.
struct Shared {
  std::vector<Hairpin> hairpins;  // of those that lead to the plan's subnets
  bool device_is_open = false;    // route_localnet of the plan's device
  bool device_is_recorded = false;

  bool operator==(const Shared&) const = default;
};

// An attachment that stands by for ports of the one that the command is about.
struct Sibling {
  OwnerState state;
  std::vector<OccupiedPort> around;  // what is at the ports that it stands by for, or overlaps

  bool operator==(const Sibling&) const = default;
};

enum class Section : std::uint8_t {
  ruleset,  // of the plan's chain; or without a plan, of the skeleton
  network_chains,
  overlaps,  // of the plan, or of several
  occupancy,
  hairpins,
  installed,  // of one attachment
  others_publish,
  chain_is_empty,
  chain_damage,     // of several network chains
  set_damage,       // of the skeleton's sets and the plan's maps
  claims,           // of the plan's ports
  wanted_hairpins,  // `hairpins` as far as the plan's pairs go
  shared,
  other_networks,
  same_network,  // but the plan's own attachment
  unlisted_loopback,
  device_use,
  siblings,  // that stand by, of `installed`, or without it of the plan's attachment
};

struct Snapshot {
  std::uint32_t generation = 0;
  struct Refused {
    bool exists = false;   // EEXIST: something stands in the way
    bool missing = false;  // ENOENT: something is missing that looked intact
    bool operator==(const Refused&) const = default;
  } refused{};

  std::optional<RulesetDiff> ruleset{};
  bool has_egress = true;  // table nft-port-mapper-egress is there, or nobody looked
  std::optional<std::vector<std::string>> network_chains{};
  // Claims on one address of ports that are wanted on any, and the other way round; in order.
  std::optional<std::vector<PublishedPort>> overlaps{};
  std::optional<Occupancy> occupancy{};
  std::optional<std::vector<Hairpin>> hairpins{};
  std::optional<InstalledPorts> installed{};
  std::optional<bool> others_publish{};  // anybody but `installed`
  std::optional<bool> chain_is_empty{};
  std::optional<std::map<std::string, ChainDamage>> chain_damage{};
  std::optional<std::vector<Damage>> set_damage{};
  std::optional<std::vector<Claim>> claims{};
  std::optional<Shared> shared{};
  std::optional<std::vector<InstalledPorts>> other_networks{};  // all attachments of others
  std::optional<std::vector<InstalledPorts>> same_network{};
  // Claims of ports that 127.0.0.0/8 reached before there were sets that say so.
  std::optional<std::vector<ClaimEntry>> unlisted_loopback{};
  std::optional<DeviceUse> device_use{};
  // With unlisted_loopback: whose they are, by which devices; and the devices that are open.
  std::vector<LocalnetUser> unlisted_users{};
  std::vector<std::string> open_devices{};
  std::optional<std::map<OwnerHash, Sibling>> siblings{};

  bool operator==(const Snapshot&) const = default;
};

}  // namespace portmapper::nft
