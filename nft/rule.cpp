#include "nft/rule.hpp"

#include <algorithm>

#include "lib/base/hash.hpp"

namespace portmapper::nft {
namespace {

// Part of every fingerprint: raise it when encode makes other expressions of the same text, so that
// the next ADD replaces what an older version of ours built.
constexpr char kEncoding[] = "2 ";

std::string ip(Family family) {
  return family == Family::ipv4 ? "ip" : "ip6";
}

std::string label() {
  return std::to_string(kLabel);
}

// "ip daddr . meta l4proto . th dport": the key of claim sets and target maps.
std::string service(Suffix suffix, const std::string& transport) {
  const std::string address =
      suffix.scope == AddressScope::one ? ip(suffix.family) + " daddr . " : "";
  return address + "meta l4proto . " + transport + " dport";
}

struct TestText {
  std::string operator()(const Match& match) const { return to_string(match); }
  std::string operator()(const OnlyFamily& test) const {
    return std::string("meta nfproto ") + (test.family == Family::ipv4 ? "ipv4" : "ipv6");
  }
  std::string operator()(const ServiceLookup& test) const {
    return service(test.suffix, "th") + (test.is_inverted ? " != @" : " @") + test.set;
  }
  std::string operator()(const SocketHasAddress&) const { return "socket wildcard 0"; }
  std::string operator()(const OriginalDirection&) const { return "ct direction original"; }
  std::string operator()(const NotTranslated&) const { return "ct status ! dnat"; }
  std::string operator()(const TranslatedByUs&) const {
    return "ct status dnat ct label " + label();
  }
  std::string operator()(const HairpinLookup& test) const {
    return ip(test.family) + " saddr . " + ip(test.family) + " daddr @" + hairpin_set(test.family);
  }
};

struct ActionText {
  std::optional<Protocol> protocol;  // what the conditions demand

  std::string operator()(const Return&) const { return "return"; }
  std::string operator()(const Drop&) const { return "drop"; }
  std::string operator()(const Masquerade&) const { return "masquerade"; }
  std::string operator()(const Snat& action) const {
    return "snat " + ip(action.address.family()) + " to " + action.address.to_string();
  }
  std::string operator()(const SourceVerdict& action) const {
    return ip(action.family) + " saddr vmap @" + action.map;
  }
  std::string operator()(const Translate& action) const {
    const std::string transport = protocol ? std::string(portmapper::to_string(*protocol)) : "th";
    return "ct label set " + label() + " dnat " + ip(action.suffix.family) + " to " +
           service(action.suffix, transport) + " map @" + action.map;
  }
  std::string operator()(const Jump& action) const { return "jump " + action.chain; }
  std::string operator()(const Goto& action) const { return "goto " + action.chain; }
};

std::vector<Match> matches_of(const Rule& rule) {
  std::vector<Match> matches;
  for (const Test& test : rule.conditions)
    if (const auto* match = std::get_if<Match>(&test)) matches.push_back(*match);
  return matches;
}

bool is_of_one_family(const Match& match) {
  return match.field == MatchField::ip_saddr || match.field == MatchField::ip_daddr ||
         match.field == MatchField::ip6_saddr || match.field == MatchField::ip6_daddr;
}

}  // namespace

std::string to_string(const Rule& rule) {
  const std::vector<Match> matches = matches_of(rule);
  const bool says_family = std::any_of(matches.begin(), matches.end(), is_of_one_family);
  std::string text;
  for (const Test& test : rule.conditions) {
    if (says_family && std::holds_alternative<OnlyFamily>(test)) continue;
    text += std::visit(TestText{}, test) + " ";
  }
  return text + std::visit(ActionText{demanded_protocol(matches)}, rule.action);
}

std::uint64_t fingerprint(const Rule& rule) {
  return fnv1a(kEncoding + to_string(rule));
}

}  // namespace portmapper::nft
