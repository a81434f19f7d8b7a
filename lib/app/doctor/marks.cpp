#include "lib/app/doctor/marks.hpp"

#include <algorithm>
#include <map>

#include "lib/app/doctor/cures.hpp"
#include "lib/app/doctor/passing.hpp"

namespace portmapper::doctor {
namespace {

using nft::foreign::Chain;
using nft::foreign::Deed;

// Chains before the routing, in the order in which packets meet them.
std::vector<const Chain*> bases_of(const Host& host) {
  std::vector<const Chain*> bases;
  for (const auto& [name, chain] : host.others.chains)
    if (stretch_of(chain) == Stretch::before) bases.push_back(&chain);
  const auto rank = [](const Chain* base) {
    return std::pair(base->hook->devices.empty(), base->hook->priority);
  };
  std::stable_sort(bases.begin(), bases.end(),
                   [&rank](const Chain* a, const Chain* b) { return rank(a) < rank(b); });
  return bases;
}

void apply(const Deed& deed, bool is_certain, std::string by, Mark& mark) {
  const std::optional<std::uint32_t> before = mark.number;
  mark.number.reset();
  if (deed.mark && (before || deed.kept == 0))
    mark.number = (before.value_or(0) & deed.kept) ^ *deed.mark;
  if (!is_certain && mark.number != before) mark.number.reset();
  mark.by = std::move(by);
}

// Packets whose mark is not known, by the rule that gives it.
struct Marked {
  std::string by;
  bool are_answers = false;
  auto operator<=>(const Marked&) const = default;
};

}  // namespace

Mark mark_of(const Host& host, const RoutedPort& port, const host::Device& in,
             Direction direction) {
  Mark mark;
  if (!host.families_by_mark.contains(port.endpoint.address.family())) return mark;
  const bool is_answer = direction == Direction::answer;
  for (const Chain* base : bases_of(host))
    for (const Passing& passing : passings(host, *base, port, {in})) {
      if (passing.is_answer != is_answer) continue;
      for (const nft::foreign::Done& done : travel(host.others, *base, passing.packet).deeds)
        if (done.deed.kind == Deed::Kind::mark)
          apply(done.deed, done.is_for_all && !passing.is_partial,
                place(base->table, done.chain, done.handle), mark);
    }
  return mark;
}

std::vector<Finding> find_unknown_marks(const Host& host) {
  std::map<Marked, std::vector<std::string>> marked;
  for (const RoutedPort& port : host.ports) {
    const auto note = [&](const Crossing& crossing, bool is_answer) {
      if (crossing.mark.number || crossing.refusal != 0) return;
      std::vector<std::string>& ports = marked[{crossing.mark.by, is_answer}];
      const std::string name = to_string(port.published);
      if (ports.empty() || ports.back() != name) ports.push_back(name);
    };
    for (const Way& way : port.ways) {
      note(way.request, false);
      if (way.answer) note(*way.answer, true);
    }
  }
  std::vector<Finding> findings;
  for (const auto& [one, ports] : marked) {
    Finding finding{.level = Finding::Level::note, .what = {}};
    finding.what = one.by + ": marks " + (one.are_answers ? "replies from " : "packets to ") +
                   some_of(ports) + ", or some of them, with what is not known here";
    finding.why =
        "`ip rule` has rules that look at marks, so the route that these packets take may be"
        " another than the one that was looked up";
    finding.ports = ports;
    findings.push_back(std::move(finding));
  }
  return findings;
}

}  // namespace portmapper::doctor
