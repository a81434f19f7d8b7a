// InstalledPorts: what the kernel has for one attachment, as nft/read/reader found it.
//
//   const Result<InstalledPortsAt> found = read_installed_ports(transport, owner, "hostports");
//   if (found && found->installed.empty()) return 0;  // nothing left to remove
//
// The owner entries are the truth about which ports are the attachment's; claims and targets are
// listed only where they exist, and claims only where they name this owner, so that removing
// them never fails for what is gone and never takes what is another's. Errors: none.
// Does not promise: to be still true; a transaction made from it carries the generation.
// Source: packaging/doc/design.md, "Claims, owners and target maps".
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/network_namespace.hpp"
#include "nft/hairpin_tag.hpp"
#include "nft/names.hpp"
#include "nft/plan.hpp"

namespace portmapper::nft {

struct InstalledPort {
  std::optional<std::uint32_t> index;  // in `owners`; nothing for a claim without an owner entry
  PublishedPort published;
  bool claimed = false;               // its claim exists and is this owner's
  std::optional<Endpoint> endpoint;   // its target, where it exists
  std::optional<Endpoint> standby{};  // where it would lead, while a sibling publishes the port
  bool by_loopback = false;           // 127.0.0.0/8 or ::1 reaches it, and by it nobody else's

  bool operator==(const InstalledPort&) const = default;
};

struct InstalledPorts {
  OwnerHash owner{};
  std::string comment;  // "web/abc/eth0"
  NetworkNamespace netns;
  std::string chain;  // prefix of the target maps
  std::vector<InstalledPort> ports;
  bool restored = false;            // made by restore, not by an ADD
  std::uint32_t count = 0;          // how many ports it published; 0 where its entries do not say
  std::uint8_t hairpin = 0;         // its hairpin tag
  std::optional<HairpinWish> wish;  // nothing: an older version's, or a listing was loaded
  std::vector<Hairpin> hairpins;    // those that no other attachment can need
  std::string localnet_device;      // by which 127.0.0.0/8 reaches it, as recorded
  std::string loopback6_device{};   // by which ::1 does
  std::optional<OwnerHash> container{};  // whose container, where the comment may not tell
  std::string standby_comment{};         // that its claims and targets will have
  std::vector<std::uint32_t> strays{};   // its standby elements that no owner entry stands for
  std::vector<OwnerHash> standing_by{};  // others of its container that have standby elements

  bool may_be_masqueraded = true;  // false: there is no table nft-port-mapper-egress

  [[nodiscard]] bool empty() const { return ports.empty(); }
  bool operator==(const InstalledPorts&) const = default;
};

// Whether each port that it published is there, with its claim and its target, or as a standby.
inline bool is_whole(const InstalledPorts& installed) {
  return !installed.empty() &&
         (installed.count == 0 || installed.count == installed.ports.size()) &&
         std::all_of(installed.ports.begin(), installed.ports.end(), [](const InstalledPort& port) {
           return port.index && (port.standby || (port.claimed && port.endpoint));
         });
}

}  // namespace portmapper::nft
