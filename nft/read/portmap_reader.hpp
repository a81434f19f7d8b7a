// read_portmap_removal: what the CNI project's portmap has in nf_tables for one attachment.
//
//   const auto left = read_portmap_removal(transport, {"web", "abc", "eth0"});
//   if (left && !left->removal.empty()) portmap::commit(transport, left->removal, left->generation);
//
// For a DEL, which comes to us after a configuration names our plugin in place of portmap. Where portmap has
// nothing, that is one exchange of five questions by name. Its nftables backend does not write down the
// network: as by portmap's own DEL, the container's rules of all networks go. Errors: mapping_failed with
// object and errno; EINTR when somebody changed the ruleset meanwhile: read it again. Does not promise: to
// see iptables-legacy. Source: nft/portmap; kernel nf_tables_api.c.
#pragma once

#include <cstdint>

#include "lib/base/attachment.hpp"
#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"
#include "nft/portmap.hpp"

namespace portmapper::nft {

struct PortmapLeft {
  portmap::Removal removal{};
  std::uint32_t generation = 0;  // in which it was read
};

Result<PortmapLeft> read_portmap_removal(Transport& transport, const Attachment& attachment);

}  // namespace portmapper::nft
