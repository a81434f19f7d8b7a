// Portmap: what the CNI project's portmap calls its chains, and the removal of rules of its, one batch.
//
//   portmap::container_chain("web", "abc");  // "CNI-DN-" and 21 digits of a hash
//   const portmap::Removal removal{.rules = {{NFPROTO_IPV4, "nat", "CNI-HOSTPORT-DNAT", 22}}};
//   to_string(removal);  // "nft 'delete rule ip nat CNI-HOSTPORT-DNAT handle 22'"
//   const CommitResult result = portmap::commit(transport, removal, snapshot.generation);
//
// By iptables-nft a container has a chain of its own in table nat of its family, to which rules of
// CNI-HOSTPORT-DNAT jump. By its nftables backend it has rules in chains that it shares with all others,
// which have its ID as their comment. Rules go by their handles, in the order given; then the chains, which
// the kernel keeps if a rule is left in one. The batch is under the generation in which they were read, so
// nothing goes that was not seen. Families are NFPROTO_*, handles in host byte order. Errors: the kernel's
// refusal, by the index of its rule, or behind the rules of its chain. Source: containernetworking/plugins,
// plugins/meta/portmap, pkg/utils; kernel nf_tables_api.c.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/netlink.hpp"
#include "nft/commit.hpp"
#include "nft/netlink_message.hpp"

namespace portmapper::nft::portmap {

inline constexpr char kNatTable[] = "nat";
inline constexpr char kEntryChain[] = "CNI-HOSTPORT-DNAT";
inline constexpr char kMarkChain[] = "CNI-HOSTPORT-SETMARK";
inline constexpr char kChainsBegin[] = "CNI-HOSTPORT-";
inline constexpr char kContainerChains[] = "CNI-DN-";

inline constexpr char kTable[] = "cni_hostport";  // of its nftables backend
inline constexpr char kPorts[] = "hostports";
inline constexpr char kAddressPorts[] = "hostip_hostports";  // before its version 1.9
inline constexpr char kMasquerading[] = "masquerading";

// The chain of an attachment by iptables; its interface is not in the name.
std::string container_chain(std::string_view network, std::string_view container_id);
bool is_container_chain(std::string_view name);

struct RuleAt {
  std::uint8_t family = 0;
  std::string table;
  std::string chain;
  std::uint64_t handle = 0;

  auto operator<=>(const RuleAt&) const = default;
};

struct ChainAt {
  std::uint8_t family = 0;
  std::string table;
  std::string name;

  auto operator<=>(const ChainAt&) const = default;
};

struct Removal {
  std::vector<RuleAt> rules{};
  std::vector<ChainAt> chains{};  // that are empty without these rules

  [[nodiscard]] bool empty() const { return rules.empty() && chains.empty(); }
  void append(const Removal& more);
  // Its first `most` rules alone, where it has more.
  void shorten(std::size_t most);
  bool operator==(const Removal&) const = default;
};

// The whole batch. Message n, counted from 2, is about rule or chain n - 2.
Messages encode(const Removal& removal, std::uint32_t generation);
// The commands that do the same, for operators.
std::string to_string(const Removal& removal);
std::string to_string(const RuleAt& rule);    // "rule ip nat CNI-HOSTPORT-DNAT handle 22"
std::string to_string(const ChainAt& chain);  // "chain ip nat CNI-DN-1234"

CommitResult commit(Transport& transport, const Removal& removal, std::uint32_t generation);
Status to_status(const CommitResult& result, const Removal& removal);

}  // namespace portmapper::nft::portmap
