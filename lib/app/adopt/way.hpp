// Way: whether rules that are not portmap's decide about a port before portmap's do, or would instead of ours.
//
//   const std::vector<nft::foreign::PortmapPart> parts = nft::foreign::portmap_parts(others);
//   Ways ways(others, parts, {});  // of read_ruleset(), and this host's addresses
//   const std::string why = ways.why_not(parts.front());  // empty: nobody else decides
//
// A chain of type nat that accepts a packet, or returns it, keeps it from portmap's rules behind, and from no
// other chain: clients that an administrator excluded in this way would get in by ours. And what portmap's rules
// were asked before, ours come behind: a rule that translates the same port would get it. So a packet to the
// port is followed through prerouting and output of portmap's table to where portmap's rule is, and, with
// portmap's rules away, through all chains that are asked before ours. It is one to an address of this host, of
// an unknown client. A rule that is about other addresses, ports or protocols does not meet it; one that
// depends on what is not known of it may, and counts. A jump counts by what is behind it. Errors: none.
// Source: nft/foreign/walk; kernel net/netfilter/nf_nat_core.c.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/ip_address.hpp"
#include "nft/foreign/portmap.hpp"
#include "nft/foreign/walk.hpp"

namespace portmapper::adopt {

class Ways {
 public:
  Ways(const nft::foreign::Ruleset& all, const std::vector<nft::foreign::PortmapPart>& parts,
       std::vector<IpAddress> addresses);

  // Of portmap's part that is in nf_tables.
  [[nodiscard]] std::string why_not(const nft::foreign::PortmapPart& part);

 private:
  using Chain = nft::foreign::Chain;
  using Packet = nft::foreign::Packet;

  template <typename Judge>
  [[nodiscard]] std::string first_of(const nft::foreign::PortmapPart& part,
                                     const Judge& judge) const;
  [[nodiscard]] std::string why_restricted(const nft::foreign::PortmapPart& part,
                                           const Packet& packet, const std::string& port) const;
  [[nodiscard]] std::string why_taken(const Packet& packet, const nft::PublishedPort& port) const;

  std::vector<IpAddress> addresses_;
  nft::foreign::Ruleset bare_;  // without portmap's rules of its containers
  // How many rules of others stand before a rule of portmap's in its chain.
  std::map<nft::portmap::RuleAt, std::size_t> places_{};
};

}  // namespace portmapper::adopt
