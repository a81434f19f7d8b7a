// Rule: one nft rule as data, with its nft syntax and a fingerprint of it.
//
//   const Rule rule{.action = Jump{"MESOS-WEB"}, .conditions = {match}};
//   to_string(rule);    // "tcp dport 80 jump MESOS-WEB"
//   fingerprint(rule);  // what the rule carries in the kernel, to be known again
//
// A translation sets the label between the look-up in the map and the dnat, so that no connection has
// it that we do not translate; loaded by nft -f, before the look-up, since nft knows no other order.
// The text is what `nft list` shows. It writes "tcp dport" for "th dport" if a condition demands tcp, as
// nft 1.0.6 does, and leaves out "meta nfproto ipv4" behind a test that only IPv4 has.
// A rule of the kernel cannot change in place, and one that somebody else wrote does not carry our
// fingerprint: so comparing fingerprints in order tells whether a chain is as we built it.
// Errors: none. Does not promise: that nft prints the elements of an anonymous set in our order.
// Source: tests/golden/ruleset.nft; nft(8).
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "lib/base/match.hpp"
#include "nft/names.hpp"

namespace portmapper::nft {

// Tests that no configuration writes; a Match is one that a configuration may.
struct OnlyFamily {  // meta nfproto ipv4
  Family family;
};
struct ServiceLookup {  // ip daddr . meta l4proto . th dport @published-hostip
  std::string set;
  Suffix suffix;
  bool is_inverted = false;  // meta l4proto . th dport != @loopback-ip
};
struct SocketHasAddress {};   // socket wildcard 0
struct OriginalDirection {};  // ct direction original
struct NotTranslated {};      // ct status ! dnat
struct TranslatedByUs {};     // ct status dnat ct label 127
struct HairpinLookup {        // ip saddr . ip daddr @hairpin-ip
  Family family;
};

using Test = std::variant<Match, OnlyFamily, ServiceLookup, SocketHasAddress, OriginalDirection,
                          NotTranslated, TranslatedByUs, HairpinLookup>;

struct Return {};
struct Drop {};
struct Masquerade {};
struct Snat {  // snat ip to 192.0.2.7
  IpAddress address;
};
struct SourceVerdict {  // ip saddr vmap @sources-ip
  std::string map;
  Family family;
};
// ct label set 127 dnat ip to ip daddr . meta l4proto . th dport map @MESOS-WEB-hostip
struct Translate {
  std::string map;
  Suffix suffix;
};
struct Jump {  // jump MESOS-WEB
  std::string chain;
};

struct Goto {  // goto any-address
  std::string chain;
};

using Action = std::variant<Return, Drop, Masquerade, Snat, SourceVerdict, Translate, Jump, Goto>;

struct Rule {
  Action action;
  std::vector<Test> conditions{};  // all of them come before the action, in order
};

std::string to_string(const Rule& rule);
std::uint64_t fingerprint(const Rule& rule);

}  // namespace portmapper::nft
