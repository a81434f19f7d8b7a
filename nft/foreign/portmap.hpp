// What the CNI project's portmap publishes, from the rules of all tables.
//
//   for (const PortmapPart& part : portmap_parts(others))  // of read_ruleset() and read_legacy()
//     if (part.oddities.empty()) use(part.container, part.mappings, part.removal);
//
// A part is what it has for one container in one table: by iptables a chain and the rules that jump there, by
// its nftables backend the rules that have the container's ID as comment and lead to one address. Mappings are
// in the order in which the kernel asks them. A rule that is not as portmap writes it, or that no packet
// reaches, is an oddity, in words; then the mappings may not be all. The removal takes what portmap's own DEL
// takes: not the chains that all containers share. Of iptables-legacy it is empty. Errors: none. Does not
// promise: a container's whole name where portmap cut it. Source: containernetworking/plugins,
// plugins/meta/portmap; packaging/doc/migration.md.
#pragma once

#include <string>
#include <vector>

#include "nft/foreign/foreign.hpp"
#include "nft/portmap.hpp"
#include "nft/published_port.hpp"

namespace portmapper::nft::foreign {

struct PortmapMapping {
  PublishedPort published;
  Endpoint endpoint;

  auto operator<=>(const PortmapMapping&) const = default;
};

struct PortmapPart {
  TableId table;
  std::string chain{};                 // by iptables its own; of the nftables backend empty
  std::string network{};               // as a comment says; empty: none does
  std::string container{};             // likewise
  std::optional<IpAddress> address{};  // of the nftables backend: where the part leads
  std::vector<PortmapMapping> mappings{};
  std::vector<std::string> oddities{};
  // What others do about its ports: rules (lib/app/adopt/way), processes of the host.
  std::string others{};
  portmap::Removal removal{};
};

bool is_portmap_chain(const std::string& name);  // by iptables
std::vector<PortmapPart> portmap_parts(const Ruleset& all);

}  // namespace portmapper::nft::foreign
