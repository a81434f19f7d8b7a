#include "nft/foreign/walk.hpp"

#include <algorithm>

#include "nft/key.hpp"

namespace portmapper::nft::foreign {
namespace {

enum class Truth : std::uint8_t { no, maybe, yes };

// All values of the field whose first bytes, as the rule compares them, lie between the two.
Interval values_between(const Operand& operand, const std::uint8_t* first, const std::uint8_t* last,
                        std::size_t length) {
  Interval values{Blob(first, first + length), Blob(last, last + length)};
  for (std::size_t i = 0; i < std::min(length, operand.mask.size()); ++i)
    values.last[i] |= static_cast<std::uint8_t>(~operand.mask[i]);
  return values;
}

// Of a field that can be anything but what is excluded.
Truth may_lie_between(const Packet& packet, const Operand& operand, const std::uint8_t* first,
                      const std::uint8_t* last, std::size_t length) {
  // Behind a mask, the values between two different ones are no interval.
  const bool is_interval = operand.mask.empty() || std::equal(first, first + length, last);
  const bool is_excluded =
      length > 0 && is_interval &&
      packet.is_excluded(operand.field, values_between(operand, first, last, length));
  return is_excluded ? Truth::no : Truth::maybe;
}

// Whether the packet's field lies between two values of `length` bytes.
Truth lies_between(const Packet& packet, const Operand& operand, const std::uint8_t* first,
                   const std::uint8_t* last, std::size_t length) {
  const bool is_everything =
      std::all_of(first, first + length, [](std::uint8_t b) { return b == 0x00; }) &&
      std::all_of(last, last + length, [](std::uint8_t b) { return b == 0xff; });
  if (is_everything) return Truth::yes;
  const std::vector<Blob>* candidates = packet.find(operand.field);
  if (candidates == nullptr) return may_lie_between(packet, operand, first, last, length);
  if (length == 0) return Truth::maybe;
  std::size_t inside = 0;
  for (const Blob& candidate : *candidates) {
    if (candidate.size() < length) return Truth::maybe;
    // As lexicographical comparisons with `first` and `last`; nothing is copied, since maps of
    // others may have tens of thousands of elements.
    int above = 0;
    int below = 0;
    for (std::size_t i = 0; i < length && (above == 0 || below == 0); ++i) {
      const int mask = i < operand.mask.size() ? operand.mask[i] : 0xff;
      const int byte = candidate[i] & mask;
      if (above == 0) above = byte - first[i];
      if (below == 0) below = last[i] - byte;
    }
    if (above >= 0 && below >= 0) ++inside;
  }
  if (inside == 0) return Truth::no;
  return inside == candidates->size() ? Truth::yes : Truth::maybe;
}

struct Hit {
  Truth truth = Truth::no;
  bool by_port = false;  // its part about the destination port is true
};

Hit matches(const Packet& packet, const std::vector<Operand>& key, const Element& element) {
  Hit match{Truth::yes};
  std::size_t at = 0;
  for (const Operand& operand : key) {
    const std::size_t length = key.size() == 1 ? element.first.size() : operand.length;
    if (element.last.size() != element.first.size() || at + length > element.first.size())
      return {Truth::maybe};
    const Truth truth =
        lies_between(packet, operand, element.first.data() + at, element.last.data() + at, length);
    if (truth == Truth::no) return {};
    match.truth = std::min(match.truth, truth);
    if (operand.field == PacketField::dport && truth == Truth::yes) match.by_port = true;
    at += padded(operand.length);
  }
  return match;
}

bool is_opaque(const Condition& condition) {
  return condition.key.empty() ||
         (condition.values.empty() &&
          std::any_of(condition.key.begin(), condition.key.end(),
                      [](const Operand& o) { return o.field == PacketField::opaque; }));
}

class Walker {
 public:
  Walker(const Ruleset& ruleset, const Chain& base, const Packet& packet)
      : ruleset_(ruleset), base_(base), packet_(packet) {}

  Trip run() {
    if (follow(base_, {}, 0)) return std::move(trip_);
    const bool drops = base_.hook && base_.hook->policy_drop;
    trip_.ends.push_back({drops ? Verdict::Kind::drop : Verdict::Kind::accept, base_.name});
    return std::move(trip_);
  }

 private:
  // The conditions under which the packet is here.
  struct State {
    std::vector<std::string> doubts;
    std::optional<PortRule> port;
    bool is_open = false;

    [[nodiscard]] bool has(const std::string& text) const {
      return std::find(doubts.begin(), doubts.end(), text) != doubts.end();
    }
    void doubt(const std::string& text, bool opens) {
      if (!has(text)) doubts.push_back(text);
      is_open = is_open || opens;
    }
  };

  // A packet walks the rules of a chain. True: it cannot come out of it.
  bool follow(const Chain& chain, State state, int depth) {
    constexpr int kDeepest = 16;  // NFT_JUMP_STACK_SIZE
    if (depth >= kDeepest) return false;
    bool some_came_out = false;
    for (const Rule& rule : chain.rules) {
      constexpr std::size_t kMostSteps = 200000;
      if (steps_ > kMostSteps) return false;
      steps_ += 1 + state.doubts.size();  // what a copy of the state costs
      State here = state;
      if (!fulfils(chain, rule, here)) continue;
      for (const Deed& deed : rule.deeds)
        trip_.deeds.push_back({deed, chain.name, rule.handle, here.doubts, here.is_open,
                               here.doubts.empty() && !some_were_accepted()});
      const Way way = rule.verdict_map ? decide_by_map(chain, rule, here, depth)
                                       : decide(chain, rule, rule.verdict, here, depth);
      const bool all = here.doubts == state.doubts;
      if (way == Way::ended && all) return !some_came_out;
      if (way != Way::back) continue;
      if (all) return false;
      some_came_out = true;
      for (const std::string& text : here.doubts)
        if (!state.has(text)) state.doubt("not " + text, here.is_open);
    }
    return false;
  }

  enum class Way : std::uint8_t { on, back, ended };

  [[nodiscard]] bool some_were_accepted() const {
    return std::any_of(trip_.ends.begin(), trip_.ends.end(),
                       [](const End& end) { return end.kind == Verdict::Kind::accept; });
  }
  [[nodiscard]] bool has_none(const std::vector<Operand>& key) const {
    return std::any_of(key.begin(), key.end(), [this](const Operand& operand) {
      const std::vector<Blob>* candidates = packet_.find(operand.field);
      return candidates != nullptr && candidates->empty();
    });
  }
  [[nodiscard]] bool is_known(const std::vector<Operand>& key) const {
    return std::all_of(key.begin(), key.end(), [this](const Operand& operand) {
      return packet_.find(operand.field) != nullptr;
    });
  }

  // Whether the conditions can be true; the doubtful ones go into the state.
  bool fulfils(const Chain& chain, const Rule& rule, State& state) {
    for (const Condition& condition : rule.conditions) {
      if (has_none(condition.key)) return false;
      if (is_opaque(condition)) {
        state.doubt(to_string(condition), true);
        continue;
      }
      Hit best;
      const Element* hit = nullptr;
      for (const Element& element : condition.values) {
        const Hit match = matches(packet_, condition.key, element);
        if (match.truth > best.truth) {
          best = match;
          hit = &element;
        }
        if (best.truth == Truth::yes) break;
      }
      const Truth truth = condition.inverted ? inverse(best.truth) : best.truth;
      if (truth == Truth::no) return false;
      if (truth == Truth::maybe) state.doubt(to_string(condition), !is_known(condition.key));
      if (best.by_port && !condition.inverted) state.port = port_rule(chain, rule, condition, *hit);
    }
    return true;
  }
  static Truth inverse(Truth truth) {
    if (truth == Truth::maybe) return truth;
    return truth == Truth::no ? Truth::yes : Truth::no;
  }
  static PortRule port_rule(const Chain& chain, const Rule& rule, const Condition& condition,
                            const Element& element) {
    PortRule port{chain.name, rule.handle};
    if (condition.set.empty() || condition.set.starts_with("__")) return port;
    port.set = condition.set;
    port.element = to_string(element, condition.key);
    return port;
  }

  Way decide(const Chain& chain, const Rule& rule, const Verdict& verdict, const State& state,
             int depth) {
    switch (verdict.kind) {
      case Verdict::Kind::none:
        return Way::on;
      case Verdict::Kind::leave:
        return Way::back;
      case Verdict::Kind::jump:
      case Verdict::Kind::go: {
        const auto next = ruleset_.chains.find({chain.table, verdict.chain});
        if (next != ruleset_.chains.end() && follow(next->second, state, depth + 1))
          return Way::ended;
        return verdict.kind == Verdict::Kind::go ? Way::back : Way::on;
      }
      default:
        trip_.ends.push_back({verdict.kind, chain.name, rule.handle, state.doubts, state.port,
                              state.is_open, rule.target});
        return Way::ended;
    }
  }

  // One element is sure, or each that may be is followed.
  Way decide_by_map(const Chain& chain, const Rule& rule, State& state, int depth) {
    constexpr int kMostDoubtful = 32;
    const Condition& map = *rule.verdict_map;
    if (has_none(map.key)) return Way::on;
    int doubtful = 0;
    Way others = Way::on;
    for (const Element& element : map.values) {
      const Hit match = matches(packet_, map.key, element);
      if (match.truth == Truth::no) continue;
      State here = state;
      if (match.truth == Truth::maybe) {
        if (++doubtful > kMostDoubtful) continue;
        here.doubt(to_string(Condition{.key = map.key, .values = {element}}), !is_known(map.key));
      }
      if (match.by_port) here.port = port_rule(chain, rule, map, element);
      const Way way = decide(chain, rule, element.verdict, here, depth);
      if (match.truth == Truth::yes) return others == Way::back ? others : way;
      if (way == Way::back) {
        others = way;
        state = here;
      }
    }
    if (doubtful > kMostDoubtful || map.values.empty()) state.doubt(to_string(map), true);
    return others;
  }

  const Ruleset& ruleset_;
  const Chain& base_;
  const Packet& packet_;
  Trip trip_;
  std::size_t steps_ = 0;
};

}  // namespace

Trip travel(const Ruleset& ruleset, const Chain& base, const Packet& packet) {
  return Walker(ruleset, base, packet).run();
}

std::vector<End> walk(const Ruleset& ruleset, const Chain& base, const Packet& packet) {
  return travel(ruleset, base, packet).ends;
}

}  // namespace portmapper::nft::foreign
