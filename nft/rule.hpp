// Rule: one nft rule as data, with its nft syntax and a fingerprint of it.
//
//   const Rule rule{.action = Jump{"MESOS-WEB"}, .conditions = {match}};
//   to_string(rule);    // "tcp dport 80 jump MESOS-WEB"
//   fingerprint(rule);  // what the rule carries in the kernel, to be known again
//
// The text is what `nft list` shows. It leaves out "meta l4proto tcp" before a dnat, and writes
// "tcp dport" there for "th dport" if a condition demands tcp, as nft 1.0.6 does.
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

struct ReturnDevices {  // iifname { "mesos-cni0", "docker0" } return
  std::vector<std::string> devices;
};
struct Translate {  // dnat ip to ip daddr . meta l4proto . th dport map @MESOS-WEB-hostip
  std::string map;
  Suffix suffix;
};
struct Jump {  // jump MESOS-WEB
  std::string chain;
};
struct JumpIfLocal {  // fib daddr type local jump networks
  std::string chain;
};
struct MasqueradeHairpin {  // ct status dnat ip saddr . ip daddr @hairpin-ip masquerade
  Family family;
};
struct DropRemoteLoopback {};  // iifname != "lo" ip daddr 127.0.0.0/8 drop

using Action = std::variant<ReturnDevices, Translate, Jump, JumpIfLocal, MasqueradeHairpin,
                            DropRemoteLoopback>;

struct Rule {
  Action action;
  std::vector<Match> conditions{};  // all of them come before the action, in order
};

std::string to_string(const Rule& rule);
std::uint64_t fingerprint(const Rule& rule);

}  // namespace portmapper::nft
