#include "nft/rule.hpp"

#include "lib/base/hash.hpp"

namespace portmapper::nft {
namespace {

// Part of every fingerprint: raise it when encode makes other expressions of the same text, so that
// the next ADD replaces what an older version of ours built.
constexpr char kEncoding[] = "1 ";

std::string ip(Family family) {
  return family == Family::ipv4 ? "ip" : "ip6";
}

// What a chain of matches says of the packets that come to the action.
struct Text {
  std::optional<Protocol> protocol;

  std::string operator()(const ReturnDevices& action) const {
    std::string list;
    for (const std::string& device : action.devices) {
      if (!list.empty()) list += ", ";
      list += '"' + device + '"';
    }
    return "iifname " + (action.devices.size() == 1 ? list : "{ " + list + " }") + " return";
  }
  std::string operator()(const Translate& action) const {
    const std::string family = ip(action.suffix.family);
    const std::string address =
        action.suffix.scope == AddressScope::one ? family + " daddr . " : "";
    const std::string transport = protocol ? std::string(portmapper::to_string(*protocol)) : "th";
    return "dnat " + family + " to " + address + "meta l4proto . " + transport + " dport map @" +
           action.map;
  }
  std::string operator()(const Jump& action) const { return "jump " + action.chain; }
  std::string operator()(const JumpIfLocal& action) const {
    return "fib daddr type local jump " + action.chain;
  }
  std::string operator()(const MasqueradeHairpin& action) const {
    const std::string family = ip(action.family);
    return "ct status dnat " + family + " saddr . " + family + " daddr @" +
           hairpin_set(action.family) + " masquerade";
  }
  std::string operator()(const DropRemoteLoopback&) const {
    return "iifname != \"lo\" ip daddr 127.0.0.0/8 drop";
  }
};

}  // namespace

std::string to_string(const Rule& rule) {
  const bool says_protocol = std::holds_alternative<Translate>(rule.action);
  std::string text;
  for (const Match& match : rule.conditions)
    if (!says_protocol || !demands_protocol_only(match)) text += to_string(match) + " ";
  return text + std::visit(Text{demanded_protocol(rule.conditions)}, rule.action);
}

std::uint64_t fingerprint(const Rule& rule) {
  return fnv1a(kEncoding + to_string(rule));
}

}  // namespace portmapper::nft
