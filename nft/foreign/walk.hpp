// walk: the verdicts that a packet can get in another table's base chain, as far as its rules are
// understood.
//
//   Packet packet;
//   packet.set(PacketField::dport, {{0x1f, 0x90}});
//   for (const End& end : walk(others, chain, packet)) use(end.kind, end.doubts);
//
// The ends come in the order in which the packet meets them. All but the last are where some of the
// packets end: those for which the `doubts` are true, conditions on what the packet does not say
// (a client's address), or that are not understood. The last has no doubts, it is the chain's
// policy where no rule ends it. A field of the packet may have several values, as the host has
// several addresses: then a condition true for some is a doubt. A field that can be anything may be
// known to have no value of some intervals, as no client has an address of 127.0.0.0/8: a condition
// within one of them is not true. A field with no value is one that
// the packet does not have there, as the state of a connection before it is tracked: a rule that
// looks at it does not apply. Errors: none; a jump to nowhere falls through. Does not promise: that
// two doubts can be true together; to follow a packet to its end where chains that jump to each
// other make more than some 100,000 rules of a few.
// Source: nft(8), VERDICT STATEMENTS; kernel net/netfilter/nf_tables_core.c.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nft/foreign/foreign.hpp"

namespace portmapper::nft::foreign {

// Values of a field, both ends among them.
struct Interval {
  Blob first;
  Blob last;
};

class Packet {
 public:
  void set(PacketField field, std::vector<Blob> candidates) {
    fields_[field] = std::move(candidates);
  }
  void set_absent(PacketField field) { fields_[field] = {}; }
  void forget(PacketField field) { fields_.erase(field); }
  // What the field is not, while it can be anything else.
  void exclude(PacketField field, std::vector<Interval> intervals) {
    excluded_[field] = std::move(intervals);
  }
  // Nothing: the field can be anything.
  [[nodiscard]] const std::vector<Blob>* find(PacketField field) const {
    const auto found = fields_.find(field);
    return found == fields_.end() ? nullptr : &found->second;
  }
  // Whether the field has none of these values, by what was excluded. They may be of its first bytes
  // alone.
  [[nodiscard]] bool is_excluded(PacketField field, Interval values) const {
    const auto found = excluded_.find(field);
    if (found == excluded_.end()) return false;
    return std::any_of(found->second.begin(), found->second.end(), [&values](const Interval& one) {
      values.first.resize(one.first.size(), 0x00);
      values.last.resize(one.last.size(), 0xff);
      return one.first <= values.first && values.last <= one.last;
    });
  }

 private:
  std::map<PacketField, std::vector<Blob>> fields_;
  std::map<PacketField, std::vector<Interval>> excluded_;
};

// A rule whose condition on the destination port this packet fulfils: where to take the port out.
struct PortRule {
  std::string chain;
  std::uint64_t handle = 0;
  std::string set{};                     // of a lookup in a named set or map
  std::optional<std::string> element{};  // there, as nft reads it
};

struct End {
  Verdict::Kind kind = Verdict::Kind::accept;
  std::string chain;
  std::uint64_t handle = 0;  // of the rule; 0: the policy
  std::vector<std::string> doubts{};
  std::optional<PortRule> port{};  // the innermost on the way here
  // Whether a doubt is about more than which of its several values a field has.
  bool is_open = false;
  std::optional<IpAddress> target{};  // of translate, where the rule says one
};

// What a rule did to packets that went on, for which the doubts are true. `is_for_all`: there is no
// doubt, and none was accepted before.
struct Done {
  Deed deed;
  std::string chain;
  std::uint64_t handle = 0;
  std::vector<std::string> doubts{};
  bool is_open = false;
  bool is_for_all = false;
};

struct Trip {
  std::vector<End> ends;
  std::vector<Done> deeds{};
};

Trip travel(const Ruleset& ruleset, const Chain& base, const Packet& packet);
// The ends alone.
std::vector<End> walk(const Ruleset& ruleset, const Chain& base, const Packet& packet);

}  // namespace portmapper::nft::foreign
