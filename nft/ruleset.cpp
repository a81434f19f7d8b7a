#include "nft/ruleset.hpp"

#include <linux/netfilter.h>

#include <algorithm>
#include <array>

namespace portmapper::nft {
namespace {

constexpr std::array kHookNames = {"prerouting", "input", "forward", "output", "postrouting"};

// type nat hook prerouting priority dstnat + 1
constexpr Hook kPreroutingHook = {"nat", NF_INET_PRE_ROUTING, kTranslationPriority};
// type nat hook output priority -99; the same for what the host itself sends
constexpr Hook kOutputHook = {"nat", NF_INET_LOCAL_OUT, kTranslationPriority};
// type nat hook postrouting priority srcnat - 1; before everybody's masquerade, for hairpins alone
constexpr Hook kPostroutingHook = {"nat", NF_INET_POST_ROUTING, 99};
// type filter hook prerouting priority raw; what route_localnet must not open (CVE-2020-8558)
constexpr Hook kLocalnetGuardHook = {"filter", NF_INET_PRE_ROUTING, -300};

}  // namespace

std::vector<ChainSpec> skeleton_chains() {
  return {{kPrerouting, kPreroutingHook, {{JumpIfLocal{kNetworks}}}},
          {kOutput, kOutputHook, {{JumpIfLocal{kNetworks}}}},
          {kPostrouting,
           kPostroutingHook,
           {{MasqueradeHairpin{Family::ipv4}}, {MasqueradeHairpin{Family::ipv6}}}},
          {kLocalnetGuard, kLocalnetGuardHook, {{DropRemoteLoopback{}}}}};
}

ChainSpec network_chain(const NetworkChain& network) {
  ChainSpec chain{.name = network.name, .hook = std::nullopt, .rules = {}};
  if (!network.exclude_devices.empty()) {
    std::vector<std::string> devices = network.exclude_devices;
    std::sort(devices.begin(), devices.end());
    devices.erase(std::unique(devices.begin(), devices.end()), devices.end());
    chain.rules.push_back({ReturnDevices{std::move(devices)}});
  }
  // One address before any, as with bind(2).
  for (const Family family : {Family::ipv4, Family::ipv6})
    for (const AddressScope scope : {AddressScope::one, AddressScope::any}) {
      const Suffix suffix{family, scope};
      chain.rules.push_back(
          {Translate{target_map(network.name, suffix), suffix},
           family == Family::ipv4 ? network.conditions_v4 : network.conditions_v6});
    }
  return chain;
}

std::string to_string(const Hook& hook) {
  return std::string("type ") + hook.type + " hook " + kHookNames[hook.number] + " priority " +
         std::to_string(hook.priority) + "; policy accept;";
}

}  // namespace portmapper::nft
