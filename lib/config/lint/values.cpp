// What an ADD refuses, and chains that networks do not agree about.
#include <algorithm>

#include "lib/base/match.hpp"
#include "lib/base/table_names.hpp"
#include "lib/cni/plugin_input.hpp"
#include "lib/config/lint/network.hpp"
#include "lib/json/text.hpp"

namespace portmapper::lint {
namespace {

// As nft has them in a set: neither order nor what another covers matters.
std::vector<MatchValue> devices_of(const config::NetConf& conf) {
  std::vector<MatchValue> devices;
  for (const std::string& device : conf.exclude_devices)
    devices.push_back(
        device.ends_with('*')
            ? MatchValue::interface_prefix(std::string_view(device).substr(0, device.size() - 1))
            : MatchValue::interface_name(device));
  return as_set(MatchField::iifname, std::move(devices));
}

std::vector<MatchValue> addresses_of(const config::NetConf& conf, Family family) {
  std::vector<MatchValue> addresses;
  for (const IpPrefix& prefix : conf.exclude_addresses)
    if (prefix.address.family() == family)
      addresses.push_back(prefix.is_host() ? MatchValue::address(prefix.address)
                                           : MatchValue::prefix(prefix));
  if (addresses.empty()) return addresses;
  return as_set(family == Family::ipv4 ? MatchField::ip_daddr : MatchField::ip6_daddr,
                std::move(addresses));
}

// The keys in which two configurations restrict a chain differently; empty: they agree.
std::string differences(const config::NetConf& a, const config::NetConf& b) {
  std::string keys;
  const auto differ = [&keys](bool is_so, std::string_view key) {
    if (is_so) keys.append(keys.empty() ? "" : ", ").append(key);
  };
  differ(devices_of(a) != devices_of(b), "excludeDevices");
  differ(addresses_of(a, Family::ipv4) != addresses_of(b, Family::ipv4) ||
             addresses_of(a, Family::ipv6) != addresses_of(b, Family::ipv6),
         "excludeAddresses");
  differ(a.conditions_v4 != b.conditions_v4, "conditionsV4");
  differ(a.conditions_v6 != b.conditions_v6, "conditionsV6");
  return keys;
}

void check_chain(Network& network, const json::Value& where, const config::NetConf& conf,
                 const std::vector<NamedChain>& chains) {
  for (const NamedChain& other : chains) {
    const std::string keys =
        other.conf.chain == conf.chain ? differences(conf, other.conf) : std::string();
    if (keys.empty()) continue;
    const bool is_same_network = other.conf.name == conf.name;
    return network.problem(
        where, "chain",
        "chain " + *conf.chain + " is named by network " + other.conf.name + " in " + other.file +
            ", too, with other " + keys,
        is_same_network
            ? "each ADD puts its own restrictions in place of the other's, for all ports"
            : "an ADD of the one is refused while the other has ports in the chain",
        is_same_network ? "remove one of the two, or write the same in both"
                        : "give each a chain of its own, or write the same in both");
  }
}

}  // namespace

void check_values(Network& network, const json::Value& ours, std::vector<NamedChain>& chains) {
  const json::Value previous = ours.member("prevResult");
  std::string_view result;
  if (previous.present())
    result = previous.raw();
  else if (!ours.member("delegate").present())
    result = "{}";  // the plugin before ours brings it
  // As strict as ADD, and says nothing of unknown keys.
  const Result<config::NetConf> conf = config::parse_net_conf(
      cni::plugin_input(network.root(), ours, {}, result), cni::Command::check);
  if (!conf)
    return network.problem(ours, "value",
                           (network.is_list() ? path_of(ours) + ": " : "") + conf.error().message(),
                           "every ADD is refused, and no container of this network starts",
                           "correct what the message names");
  if (!conf->chain || conf->chain == kSharedChain) return;
  check_chain(network, ours.member("chain"), *conf, chains);
  chains.push_back({network.source().name, *conf});
}

}  // namespace portmapper::lint
