// The check of lib/app/doctor/doctor for networks whose own excludeDevices or conditions let no client
// in.

#include <linux/netfilter.h>

#include <algorithm>
#include <map>

#include "lib/app/doctor/cures.hpp"
#include "lib/app/doctor/packets.hpp"
#include "lib/app/doctor/passing.hpp"
#include "nft/names.hpp"

namespace portmapper::doctor {
namespace {

using nft::foreign::Chain;
using nft::foreign::PacketField;
using Kind = nft::foreign::Verdict::Kind;

enum class Entry : std::uint8_t { open, by_device, by_conditions };

// A chain without a hook can be walked as well: what comes out of it was not translated.
bool reaches_its_map(const Host& host, const Chain& chain, const std::string& map,
                     const nft::foreign::Packet& packet) {
  const std::vector<nft::foreign::End> ends = walk(host.own, chain, packet);
  return std::any_of(ends.begin(), ends.end(), [&map](const nft::foreign::End& end) {
    return end.kind == Kind::translate &&
           std::any_of(end.doubts.begin(), end.doubts.end(),
                       [&map](const std::string& doubt) { return doubt.ends_with(" @" + map); });
  });
}

// Whether the rules of excludeDevices alone leave it out.
bool is_excluded_device(const Host& host, const Chain& chain, const nft::foreign::Packet& packet) {
  return std::any_of(chain.rules.begin(), chain.rules.end(), [&](const nft::foreign::Rule& rule) {
    if (rule.verdict.kind != Kind::leave || rule.conditions.size() != 1 ||
        rule.conditions.front().key.front().field != PacketField::iifname)
      return false;
    Chain alone{.table = chain.table, .name = chain.name, .rules = {rule}};
    alone.rules.front().verdict.kind = Kind::drop;
    return walk(host.own, alone, packet).front().kind == Kind::drop;
  });
}

Entry entry_by(const Host& host, const Chain& chain, const RoutedPort& port,
               const host::Device& device) {
  const std::string map = nft::target_map(chain.name, nft::suffix_of(port.published));
  const nft::foreign::Packet packet = packet_at(host, port, {}, {device});
  if (reaches_its_map(host, chain, map, packet)) return Entry::open;
  return is_excluded_device(host, chain, packet) ? Entry::by_device : Entry::by_conditions;
}

// What shuts out the clients of some ports.
struct Shutter {
  std::string chain;
  std::string devices{};
  bool is_for_all = true;  // nobody comes in by another device
  bool by_device = true;
  bool is_ipv4 = true;  // of conditions
  auto operator<=>(const Shutter&) const = default;
};

std::optional<Shutter> shutter_of(const Host& host, const Chain& chain, const RoutedPort& port) {
  const std::vector<host::Device> main = client_devices(host, port, Clients::main);
  std::vector<std::string> shut;
  Shutter shutter{.chain = chain.name, .is_ipv4 = port.published.address.family() == Family::ipv4};
  for (const host::Device& device : main) {
    const Entry entry = entry_by(host, chain, port, device);
    if (entry == Entry::open) continue;
    shutter.by_device = entry == Entry::by_device;
    shut.push_back(device.name);
  }
  if (shut.empty()) return std::nullopt;
  const bool is_ipv4 = shutter.is_ipv4;
  shutter.is_ipv4 = is_ipv4 || shutter.by_device;  // one key for both families
  // Where no default route says who the clients are, one device that is open is enough.
  const bool knows_clients =
      host.client || !(is_ipv4 ? host.default_devices : host.default_devices6).empty();
  if (shut.size() < main.size() && !knows_clients) return std::nullopt;
  shutter.devices = some_of(shut);
  const std::vector<host::Device> all = client_devices(host, port, Clients::all);
  shutter.is_for_all = std::none_of(all.begin(), all.end(), [&](const host::Device& device) {
    return entry_by(host, chain, port, device) == Entry::open;
  });
  return shutter;
}

Finding finding_of_shutter(const Shutter& shutter, const std::vector<std::string>& ports) {
  Finding finding{.level = shutter.is_for_all ? Finding::Level::problem : Finding::Level::note,
                  .what = {}};
  finding.ports = ports;
  finding.what = "chain " + shutter.chain + " leaves out what comes by " + shutter.devices +
                 ": clients there do not reach " + some_of(ports);
  const std::string key = shutter.is_ipv4 ? "conditionsV4" : "conditionsV6";
  finding.why =
      shutter.by_device
          ? "the interface is in the key excludeDevices of the network's configuration; name"
            " the container's own there, and start the network's containers again"
          : "no packet that comes by it meets the key " + key +
                " of the network's configuration; correct it, and start the network's"
                " containers again";
  if (!shutter.is_for_all)
    finding.why += ". Clients by other interfaces are let in: if that is meant so, all is well";
  return finding;
}

}  // namespace

std::vector<Finding> find_shut_out(const Host& host) {
  std::map<Shutter, std::vector<std::string>> shutters;
  for (const RoutedPort& port : host.ports) {
    const IpAddress& address = port.published.address;
    const auto chain =
        host.own.chains.find({nft::foreign::TableId{NFPROTO_INET, nft::kTable}, port.chain});
    if (chain == host.own.chains.end() || (!address.is_any() && address.is_loopback())) continue;
    if (const auto shutter = shutter_of(host, chain->second, port))
      shutters[*shutter].push_back(to_string(port.published));
  }
  std::vector<Finding> findings;
  findings.reserve(shutters.size());
  for (const auto& [shutter, ports] : shutters)
    findings.push_back(finding_of_shutter(shutter, ports));
  return findings;
}

}  // namespace portmapper::doctor
