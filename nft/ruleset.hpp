// The chains of the ruleset: the skeleton's, and one network's.
//
//   for (const ChainSpec& chain : skeleton_chains()) use(chain.name);  // prerouting, output, ...
//   network_chain({"MESOS-WEB", {"mesos-cni0"}}).rules;                // five rules
//
// Pure data. Why each base chain sits at its priority is said in packaging/doc/design.md, "Why each
// chain sits where it does"; the numbers are those of tests/golden/ruleset.nft. Errors: none. Does
// not promise: the jumps of `networks`, which holds one for each network chain and belongs to all
// networks together. Source: tests/golden/ruleset.nft; linux/netfilter_ipv4.h for hooks and
// priorities.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nft/plan.hpp"
#include "nft/rule.hpp"
#include "nft/userdata.hpp"

namespace portmapper::nft {

// Of our translations: dstnat + 1, one after the cluster's own services (CVE-2019-9946).
inline constexpr std::int32_t kTranslationPriority = -99;

// systemd-resolved's addresses, which "any address" never means to the host itself.
std::array<IpAddress, 2> resolver_stubs();

struct Hook {
  const char* type;  // "nat" or "filter"
  std::uint32_t number;
  std::int32_t priority;
};

struct ChainSpec {
  std::string name;
  std::optional<Hook> hook{};
  std::vector<Rule> rules{};
  std::optional<ChainOwner> owner{};  // nothing: all may use it
};

std::vector<ChainSpec> skeleton_chains();  // the base chains, and what they go to
ChainSpec network_chain(const NetworkChain& network);
// Chain `networks`: a jump for each network chain.
ChainSpec networks_chain(std::span<const std::string> network_chains);

// A hash of what a network chain lets pass: networks with the same may share one. It stays the same
// when a new version builds other rules.
std::uint64_t restrictions(const NetworkChain& network);
bool is_owned_by(const ChainOwner& owner, std::string_view network);

// "type nat hook prerouting priority -99; policy accept;"
std::string to_string(const Hook& hook);

}  // namespace portmapper::nft
