// Egress: what of one container's traffic is masqueraded, as pure data.
//
//   const EgressNetwork web{"web", *IpPrefix::parse("10.22.0.0/16")};
//   const std::vector<EgressSource> sources = {{*IpAddress::parse("10.22.0.2"), web}};
//   to_string(egress_chain(web).rules.front());  // "ip daddr 10.22.0.0/16 return"
//
// In a table of its own, nft-port-mapper-egress: a map leads from each container's address to a chain
// of its network and subnet, which masquerades what neither stays in the subnet nor goes to one of
// `stays`. Networks whose configuration changed have a chain for each: a container's is that of its
// ADD. An address is masqueraded once, whoever has it; `owners` says who wants it. Multicast,
// broadcast and link-local stay as they are. The base chain comes behind everybody else's source
// NAT: an administrator's own decides first. Addresses in network order. Errors: none. Does not
// promise: that the address of `snat` is the host's. Source: CNI's bridge plugin, ipMasq;
// packaging/doc/egress.md; kernel nft_masq.c, nft_nat.c.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/base/ip_address.hpp"
#include "nft/plan.hpp"
#include "nft/ruleset.hpp"
#include "nft/set.hpp"

namespace portmapper::nft {

// Of each address that the container has.
std::vector<EgressSource> egress_sources(const std::string& network, const EgressWish& wish,
                                         std::span<const IpPrefix> addresses);

// "net-web-10.22.0.0-16"; with "/" and a hash where the name does not tell all: it is too long, or the
// rules are not those of "ipMasq" alone. No network's name has a "/".
std::string egress_chain_name(const EgressNetwork& network);
ChainSpec egress_chain(const EgressNetwork& network);
ChainSpec egress_base_chain();

// map owners { type ifname . mark : ipv6_addr; }
SetSpec egress_owners_spec();
// map sources-ip { type ipv4_addr : verdict; }
SetSpec egress_sources_spec(Family family);
std::vector<SetSpec> egress_sets();

Key egress_owner_data(const IpAddress& address);  // IPv4 addresses as ::ffff:a.b.c.d
Key egress_source_key(const IpAddress& address);
std::optional<IpAddress> parse_egress_address(std::span<const std::uint8_t> bytes);  // unmapped

}  // namespace portmapper::nft
