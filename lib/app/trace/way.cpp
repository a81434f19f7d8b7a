#include "lib/app/trace/way.hpp"

#include <linux/netfilter.h>

#include <algorithm>
#include <utility>

#include "nft/trace/table.hpp"

namespace portmapper::trace {
namespace {

using nft::foreign::Verdict;
using nft::trace::Mark;

constexpr std::uint32_t kLoopback = 1;  // the index of lo, from where a packet comes back

// The hooks of the families ip, ip6 and inet are the same; those of bridges are others.
std::uint8_t family_of_hook(const Event& event) {
  const std::uint8_t family = event.chain.first.family;
  return family == NFPROTO_BRIDGE || family == NFPROTO_NETDEV ? family : std::uint8_t{NFPROTO_INET};
}

bool has_ports_of(const Header& a, const Header& b) {
  return a.source == b.source && a.destination == b.destination && a.protocol == b.protocol &&
         a.source_port == b.source_port && a.destination_port == b.destination_port;
}

// A redirect, for instance, is no answer: the packet goes on.
bool is_error(const Header& header) {
  constexpr std::uint8_t kUnreachable = 3;
  constexpr std::uint8_t kTimeExceeded = 11;
  constexpr std::uint8_t kBadParameter = 12;
  constexpr std::uint8_t kLastError6 = 127;
  if (header.protocol == nft::trace::kIcmpv6) return header.icmp_type <= kLastError6;
  return header.icmp_type == kUnreachable || header.icmp_type == kTimeExceeded ||
         header.icmp_type == kBadParameter;
}

// An error message has a router's address as source, and no ports.
bool answers(const Packet& answer, const Packet& request) {
  if (is_icmp(answer.begin) && !is_error(answer.begin)) return false;
  if (is_icmp(answer.begin))
    return answer.begin.destination == request.now.source ||
           answer.begin.destination == request.begin.source;
  const Header turned{.source = answer.begin.destination,
                      .destination = answer.begin.source,
                      .protocol = answer.begin.protocol,
                      .source_port = answer.begin.destination_port,
                      .destination_port = answer.begin.source_port};
  return has_ports_of(turned, request.now) || has_ports_of(turned, request.begin);
}

std::optional<Fate> decided(const Visit& visit) {
  if (visit.steps.empty()) return std::nullopt;
  const Verdict::Kind kind = visit.steps.back().verdict.kind;
  if (kind == Verdict::Kind::drop || kind == Verdict::Kind::reject) return Fate::dropped;
  if (kind == Verdict::Kind::queue) return Fate::queued;
  return std::nullopt;
}

std::optional<End> last_decision(const Packet& packet) {
  for (std::size_t i = packet.passages.size(); i-- > 0;) {
    const std::vector<Visit>& visits = packet.passages[i].visits;
    for (std::size_t j = visits.size(); j-- > 0;)
      if (const auto fate = decided(visits[j])) return End{*fate, i, j};
  }
  return std::nullopt;
}

bool is_behind(const Packet& packet, const End& decision) {
  if (decision.passage + 1 < packet.passages.size()) return true;
  const Passage& passage = packet.passages[decision.passage];
  return passage.behind || decision.visit + 1 < passage.visits.size();
}

// Somebody else traces beside this one: his chains let all through.
bool is_of_another_trace(const Event& event, const std::string& own) {
  return event.chain.first.family == NFPROTO_INET && event.chain.first.name != own &&
         nft::trace::is_table_name(event.chain.first.name);
}

}  // namespace

End end_of(const Packet& packet) {
  const auto decision = last_decision(packet);
  if (decision && (decision->fate == Fate::dropped || !is_behind(packet, *decision)))
    return *decision;
  // Bridges have hooks of their own behind ours, which do not mark where a packet leaves them.
  std::size_t last = packet.passages.size() - 1;
  while (last > 0 && packet.passages[last].family != NFPROTO_INET) --last;
  const Passage& passage = packet.passages[last];
  End end{.fate = Fate::vanished, .passage = last};
  if (!passage.behind) return end;
  end.fate = Fate::unrouted;
  if (passage.hook == NF_INET_POST_ROUTING && passage.behind->output != kLoopback)
    end.fate = Fate::left;
  if (passage.hook == NF_INET_LOCAL_IN) end.fate = Fate::delivered;
  return end;
}

const Visit* translator_of(const Passage& passage) {
  if (!passage.behind) return nullptr;
  const bool is_same = passage.behind->destination == passage.before.destination &&
                       passage.behind->destination_port == passage.before.destination_port;
  if (is_same) return nullptr;
  // The kernel asks no further nat chain.
  const auto last = std::find_if(
      passage.visits.rbegin(), passage.visits.rend(),
      [](const Visit& v) { return v.hook && v.hook->type == "nat" && !v.steps.empty(); });
  if (last == passage.visits.rend() || last->steps.back().kind != Event::Kind::rule) return nullptr;
  return &*last;
}

bool Ways::is_own(const Event& event) const {
  return event.chain.first.family == NFPROTO_INET && event.chain.first.name == own_table_;
}

std::optional<std::size_t> Ways::find(const Event& event) const {
  const auto known = open_.find(event.packet);
  if (known != open_.end()) return known->second;
  if (!event.header) return std::nullopt;
  for (std::size_t i = packets_.size(); i-- > 0;)
    if (has_ports_of(packets_[i].now, *event.header)) return i;
  return std::nullopt;
}

std::optional<std::size_t> Ways::see(const Event& event) {
  if (is_of_another_trace(event, own_table_)) return std::nullopt;
  if (event.header) heads_[event.packet] = *event.header;
  const auto mark_here = is_own(event) ? nft::trace::mark_of(event.chain.second) : std::nullopt;
  const bool begins = mark_here && (mark_here->kind == Mark::Kind::request ||
                                    mark_here->kind == Mark::Kind::answer);
  std::optional<std::size_t> number = find(event);
  const auto head = heads_.find(event.packet);
  if (begins && event.kind == Event::Kind::rule && head != heads_.end()) {
    number = packets_.size();
    packets_.push_back({.is_answer = mark_here->kind == Mark::Kind::answer,
                        .begin = head->second,
                        .now = head->second});
  }
  if (!number) return std::nullopt;
  open_[event.packet] = *number;
  Packet& packet = packets_[*number];
  if (event.header) packet.now = *event.header;
  if (is_own(event))
    mark(packet, event);
  else
    step(packet, event);
  return number;
}

Passage& Ways::passage(Packet& packet, std::uint32_t hook, std::uint8_t family, bool begins) {
  const bool is_new = packet.passages.empty() || packet.passages.back().hook != hook ||
                      packet.passages.back().family != family ||
                      (begins && packet.passages.back().behind);
  if (is_new) packet.passages.push_back({.hook = hook, .family = family, .before = packet.now});
  return packet.passages.back();
}

void Ways::mark(Packet& packet, const Event& event) {
  const auto here = nft::trace::mark_of(event.chain.second);
  if (!here) return;
  const bool is_first = here->kind == Mark::Kind::first;
  if (is_first || here->kind == Mark::Kind::last) {
    Passage& through = passage(packet, here->hook, NFPROTO_INET, is_first);
    if (!is_first) through.behind = packet.now;
    return;
  }
  // Chosen: what comes from a device arrives, all else is sent by the host.
  const bool arrives = packet.begin.input != 0 && packet.begin.output == 0;
  passage(packet, arrives ? NF_INET_PRE_ROUTING : NF_INET_LOCAL_OUT, NFPROTO_INET, false);
}

void Ways::step(Packet& packet, const Event& event) {
  const auto chain = chains_.find(event.chain);
  const bool is_base = chain != chains_.end() && chain->second.hook;
  if (event.header) {
    const std::uint32_t hook = is_base                   ? chain->second.hook->number
                               : packet.passages.empty() ? std::uint32_t{NF_INET_PRE_ROUTING}
                                                         : packet.passages.back().hook;
    Passage& through = passage(packet, hook, family_of_hook(event), true);
    through.visits.push_back(
        {.chain = event.chain, .hook = is_base ? chain->second.hook : std::nullopt});
  }
  if (packet.passages.empty() || packet.passages.back().visits.empty()) return;
  packet.passages.back().visits.back().steps.push_back(event);
}

std::vector<std::size_t> Ways::requests() const {
  std::vector<std::size_t> numbers;
  for (std::size_t i = 0; i < packets_.size(); ++i)
    if (!packets_[i].is_answer) numbers.push_back(i);
  return numbers;
}

std::optional<std::size_t> Ways::answer_to(std::size_t request) const {
  for (std::size_t i = request + 1; i < packets_.size(); ++i)
    if (packets_[i].is_answer && answers(packets_[i], packets_[request])) return i;
  return std::nullopt;
}

}  // namespace portmapper::trace
