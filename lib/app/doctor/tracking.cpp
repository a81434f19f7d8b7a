// The check of lib/app/doctor/doctor for rules that spoil a connection before it is tracked or
// translated: notrack, conntrack zones, and rules that rewrite what our maps look for.

#include <algorithm>
#include <map>
#include <tuple>

#include "lib/app/doctor/cures.hpp"
#include "lib/app/doctor/passing.hpp"
#include "nft/ruleset.hpp"

namespace portmapper::doctor {
namespace {

using nft::foreign::Chain;
using nft::foreign::Deed;
using nft::foreign::Done;
using nft::foreign::PacketField;

// A rule that does something to packets of published ports.
struct Doer {
  const Chain* base = nullptr;
  std::string chain{};
  std::uint64_t handle = 0;
  bool are_answers = false;
  bool is_certain = true;
  Deed::Kind kind = Deed::Kind::untrack;
  std::string act{};     // "keeps", before what it is done to
  std::string effect{};  // " from being tracked", behind it
  std::string why{};
  std::string ending{};

  auto key() const {
    return std::tie(base->table, chain, handle, are_answers, is_certain, act, effect, why, ending);
  }
  bool operator<(const Doer& other) const { return key() < other.key(); }
};
using Doers = std::map<Doer, std::vector<const RoutedPort*>>;

bool acts_before_tracking(const Chain& base) {
  return stretch_of(base) == Stretch::before && base.hook->type != "nat" &&
         base.hook->priority < kConntrackPriority;
}

bool acts_before_translation(const Chain& base) {
  return stretch_of(base) == Stretch::before && base.hook->priority < nft::kTranslationPriority;
}

// The zone in which the packets of one direction are looked up.
struct Zone {
  std::optional<std::uint16_t> number{0};  // nothing: it cannot be told
  std::optional<Doer> by{};                // nothing: nobody sets one
};

Doer doer_of(const Chain& base, const Done& done, bool are_answers) {
  Doer doer{.base = &base,
            .chain = done.chain,
            .handle = done.handle,
            .are_answers = are_answers,
            .is_certain = done.is_for_all};
  if (!done.doubts.empty()) doer.ending = " where " + joined(done.doubts, " and ");
  return doer;
}

class PortJudge {
 public:
  PortJudge(const Host& host, const RoutedPort& port, Doers& doers)
      : host_(host), port_(port), doers_(doers) {}

  void see(const Chain& base) {
    for (const Passing& passing : passings(host_, base, port_, Clients::main))
      for (const Done& done : travel(host_.others, base, passing.packet).deeds) {
        Doer doer = doer_of(base, done, passing.is_answer);
        doer.is_certain = doer.is_certain && !passing.is_partial;
        judge(done.deed, std::move(doer));
      }
  }

  void end() {
    const Zone& there = zones_[0];
    const Zone& back = zones_[1];
    if ((!there.by && !back.by) || (there.number && there.number == back.number)) return;
    Doer doer = there.by ? *there.by : *back.by;
    const bool is_known = there.number && back.number;
    doer.is_certain = is_known;
    doer.kind = Deed::Kind::zone;
    doer.act = "puts ";
    doer.effect = is_known ? " into conntrack zone " +
                                 std::to_string(doer.are_answers ? *back.number : *there.number)
                           : " into a conntrack zone";
    doer.why = is_known ? "requests are in zone " + std::to_string(*there.number) +
                              " and replies in zone " + std::to_string(*back.number)
                        : "whether the replies are looked up in the same zone, is not known here";
    doer.why +=
        ": a reply in another zone belongs to no connection, and is not translated back; what the"
        " container sends needs the zone that the clients' packets have";
    add(std::move(doer));
  }

 private:
  void judge(const Deed& deed, Doer doer) {
    if (deed.kind == Deed::Kind::mark) return;
    if (deed.kind == Deed::Kind::zone) {
      if (acts_before_tracking(*doer.base)) set_zone(deed, std::move(doer));
      return;
    }
    if (deed.kind == Deed::Kind::untrack) {
      if (!acts_before_tracking(*doer.base)) return;
      doer.act = "keeps ";
      doer.effect = " from being tracked";
      doer.why = doer.are_answers ? "untracked replies are not translated back, so no client knows"
                                    " them for an answer"
                                  : "only tracked connections are translated, so nothing reaches"
                                    " the container";
    } else {
      const bool is_looked_for = deed.field.field == PacketField::dport ||
                                 deed.field.field == PacketField::ip_daddr ||
                                 deed.field.field == PacketField::ip6_daddr;
      if (doer.are_answers || !is_looked_for || !acts_before_translation(*doer.base)) return;
      doer.kind = Deed::Kind::rewrite;
      doer.act = "rewrites " + deed.field.text + " of ";
      doer.why = "it does so before they are translated, by what it wrote";
      doer.is_certain = doer.is_certain && deed.field.field == PacketField::dport;
    }
    if (!doer.is_certain) doer.why += "; whether it concerns all of them, is not known here";
    add(std::move(doer));
  }

  void set_zone(const Deed& deed, Doer doer) {
    Zone& zone = zones_[doer.are_answers ? 1 : 0];
    zone.number = doer.is_certain ? deed.zone : std::nullopt;
    zone.by = std::move(doer);
  }

  void add(Doer doer) {
    std::vector<const RoutedPort*>& ports = doers_[std::move(doer)];
    if (ports.empty() || ports.back() != &port_) ports.push_back(&port_);
  }

  const Host& host_;
  const RoutedPort& port_;
  Doers& doers_;
  std::array<Zone, 2> zones_{};  // of requests and of answers
};

Finding finding_of_doer(const Host& host, const Doer& doer,
                        const std::vector<const RoutedPort*>& ports) {
  Finding finding{.level = doer.is_certain ? Finding::Level::problem : Finding::Level::note,
                  .what = {}};
  for (const RoutedPort* port : ports) finding.ports.push_back(to_string(port->published));
  finding.what = place(doer.base->table, doer.chain, doer.handle) + ": " + doer.act +
                 (doer.are_answers ? "replies from " : "packets to ") + some_of(finding.ports) +
                 doer.effect + doer.ending;
  finding.why = doer.why;
  // A zone is somebody's plan, which has to be completed and not undone.
  if (!doer.is_certain || doer.kind == Deed::Kind::zone) return finding;
  finding.command = accept_command(host.others, *doer.base, doer.chain, doer.handle,
                                   port_match(ports, doer.are_answers, !doer.are_answers));
  if (!finding.command.empty()) finding.keep = keep_of(host.others, *doer.base);
  return finding;
}

}  // namespace

std::vector<Finding> find_untracked(const Host& host) {
  std::vector<const Chain*> bases;
  for (const auto& [name, chain] : host.others.chains)
    if (stretch_of(chain) == Stretch::before) bases.push_back(&chain);
  // The last to set a zone wins.
  std::stable_sort(bases.begin(), bases.end(), [](const Chain* a, const Chain* b) {
    return a->hook->priority < b->hook->priority;
  });
  Doers doers;
  for (const RoutedPort& port : host.ports) {
    PortJudge judge(host, port, doers);
    for (const Chain* base : bases) judge.see(*base);
    judge.end();
  }
  std::vector<Finding> findings;
  for (const auto& [doer, ports] : doers) findings.push_back(finding_of_doer(host, doer, ports));
  return findings;
}

}  // namespace portmapper::doctor
