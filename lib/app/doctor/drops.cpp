// The checks of lib/app/doctor/doctor that follow packets to rules which drop them.

#include <linux/netfilter.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <tuple>

#include "lib/app/doctor/cures.hpp"
#include "lib/app/doctor/packets.hpp"
#include "lib/app/doctor/passing.hpp"

namespace portmapper::doctor {
namespace {

using nft::foreign::Chain;
using nft::foreign::End;
using Kind = nft::foreign::Verdict::Kind;

// Where packets of published ports end in one base chain.
struct Culprit {
  bool is_certain = true;
  bool is_partial = false;
  std::string ending{};  // " where iifname "wlan0"", " except where ..."
  bool are_answers = false;
  Kind kind = Kind::drop;
  std::string chain;
  std::uint64_t handle = 0;
  bool is_alike = false;  // for all clients, whatever is not known about it
  bool is_open = false;   // it takes packets of connections that are open

  auto key() const {
    return std::tie(chain, handle, are_answers, kind, is_certain, is_partial, ending, is_open);
  }
  bool operator<(const Culprit& other) const { return key() < other.key(); }
};
using Place = std::tuple<std::string, std::uint64_t, bool>;  // chain, handle, are_answers

bool eats(const End& end) {
  return end.kind == Kind::drop || end.kind == Kind::reject || end.kind == Kind::queue ||
         end.kind == Kind::divert;
}

bool is_sure(Kind kind) {
  return kind == Kind::drop || kind == Kind::reject;
}

std::string verb(Kind kind) {
  if (kind == Kind::queue) return "queues";
  if (kind == Kind::divert) return "diverts";
  return kind == Kind::reject ? "rejects" : "drops";
}

// How many packets there are, and what they are made of, is no matter of whose they are.
bool is_alike(const std::string& doubt) {
  constexpr std::array<std::string_view, 4> kAlike = {"limit ", "ct count ", "tcp option ",
                                                      "-m limit"};
  return std::any_of(kAlike.begin(), kAlike.end(),
                     [&doubt](std::string_view one) { return doubt.starts_with(one); });
}

class ChainJudge {
 public:
  ChainJudge(const Host& host, const Chain& base)
      : host_(host), base_(base), stretch_(stretch_of(base).value_or(Stretch::middle)) {}

  void judge(const RoutedPort& port) {
    std::set<Place> told;
    takes_first_.clear();
    if (judge(port, Clients::main, told)) return;
    if (host_.client || client_devices(host_, port, Clients::main).size() ==
                            client_devices(host_, port, Clients::all).size())
      return;
    judge(port, Clients::all, told);
  }

  [[nodiscard]] std::vector<Finding> findings() const {
    std::vector<Finding> findings;
    for (const auto& [culprit, ports] : culprits_) findings.push_back(finding_of(culprit, ports));
    return findings;
  }

 private:
  using Ports = std::vector<const RoutedPort*>;

  // True: no request comes through.
  bool judge(const RoutedPort& port, Clients clients, std::set<Place>& told) {
    bool is_shut = false;
    bool is_silent = false;
    std::vector<Passing> all = passings(host_, base_, port, clients);
    for (const Passing& passing : all) {
      if (passing.is_answer && is_shut) continue;
      const bool takes_all = collect(port, passing, clients, told) && !passing.is_partial;
      (passing.is_answer ? is_silent : is_shut) |= takes_all;
    }
    if (is_shut || is_silent || port.published.protocol != Protocol::tcp ||
        base_.hook->type == "nat")
      return is_shut;
    for (Passing& passing : all) {
      set_open(passing.packet);
      collect(port, passing, clients, told, /*is_open=*/true);
    }
    return is_shut;
  }

  // True: none of the packets comes through.
  bool collect(const RoutedPort& port, const Passing& passing, Clients clients,
               std::set<Place>& told, bool is_open = false) {
    const std::vector<End> ends = walk(host_.others, base_, passing.packet);
    std::vector<std::string> through;
    bool are_alike = true;
    for (const End& end : ends) {
      are_alike = are_alike && std::all_of(end.doubts.begin(), end.doubts.end(), is_alike);
      const bool is_last = &end == &ends.back();
      if (!eats(end)) {
        if (!is_last) through.push_back(joined(end.doubts, " and "));
        continue;
      }
      Culprit culprit{.is_partial = passing.is_partial,
                      .are_answers = passing.is_answer,
                      .kind = end.kind,
                      .chain = end.chain,
                      .handle = end.handle,
                      .is_alike = are_alike && !passing.is_partial,
                      .is_open = is_open};
      culprit.is_certain = is_last && through.empty() && is_sure(end.kind) && !passing.is_partial &&
                           clients == Clients::main;
      if (!is_last)
        culprit.ending = " where " + joined(end.doubts, " and ");
      else if (!through.empty())
        culprit.ending = " except where " + joined(through, " or where ");
      const Place place(end.chain, end.handle, passing.is_answer);
      if (is_open ? takes_first_.contains(place) : clients != Clients::main && told.contains(place))
        continue;
      if (clients == Clients::main) told.insert(place);
      takes_first_.insert(place);
      Ports& ports = culprits_[culprit];
      if (ports.empty() || ports.back() != &port) ports.push_back(&port);
    }
    return through.empty() && eats(ends.back());
  }

  [[nodiscard]] Finding finding_of(const Culprit& culprit, const Ports& ports) const {
    Finding finding;
    finding.level = culprit.is_certain ? Finding::Level::problem : Finding::Level::note;
    finding.is_alike = culprit.is_alike;
    for (const RoutedPort* port : ports) finding.ports.push_back(to_string(port->published));
    finding.what = culprit.handle == 0 ? of_policy()
                                       : place(base_.table, culprit.chain, culprit.handle) + ": " +
                                             verb(culprit.kind) + " ";
    finding.what += std::string(culprit.are_answers ? "replies from " : "packets to ") +
                    (culprit.is_open ? "open connections of " : "") + some_of(finding.ports) +
                    where() + culprit.ending;
    finding.why = why_of(culprit);
    finding.command = command_of(culprit, ports);
    if (!finding.command.empty()) finding.keep = keep_of(host_.others, base_);
    return finding;
  }

  [[nodiscard]] std::string of_policy() const {
    return "table " + to_string(base_.table) + ", chain " + base_.name +
           (base_.table.is_legacy ? "" : " (handle " + std::to_string(base_.handle) + ")") +
           ": its policy drops ";
  }
  [[nodiscard]] std::string where() const {
    return base_.hook->devices.empty() ? "" : " on " + some_of(base_.hook->devices);
  }

  [[nodiscard]] std::string why_of(const Culprit& culprit) const {
    if (culprit.kind == Kind::queue)
      return std::string("the decision of the program that reads the queue is not known here") +
             (stretch_ == Stretch::middle ? "; this bypasses it:" : "");
    if (culprit.kind == Kind::divert)
      return "they go to another device, or to a process of the host, and not to the container";
    if (culprit.is_partial && stretch_ == Stretch::middle)
      return "br_netfilter is on, so what a container sends to the published port of another on its"
             " bridge passes this chain";
    if (culprit.is_partial)
      return "the chain sees only some of these packets: which, is not known here";
    if (!culprit.is_certain)
      return std::string(
                 "it depends on the client, or on a condition that the doctor does not know") +
             (stretch_ == Stretch::middle
                  ? "; if the rule is not meant for published ports, this accepts every translated"
                    " connection:"
                  : "");
    if (culprit.is_open) return "connections are made, and hang when something is to be sent";
    if (culprit.are_answers) return "connections reach the container, but nothing comes back";
    if (stretch_ == Stretch::before)
      return "it does so before they are translated, so nothing reaches the container";
    if (stretch_ == Stretch::behind)
      return "it does so behind the forward chains, where they are translated already";
    return "no earlier rule accepts translated connections, and connections to published ports are"
           " translated";
  }

  // Before the translation, what depends on the client is a ban as a rule, which nothing undoes.
  [[nodiscard]] std::string command_of(const Culprit& culprit, const Ports& ports) const {
    if (stretch_ != Stretch::middle && !culprit.is_certain) return {};
    if (culprit.kind == Kind::divert || culprit.is_partial) return {};
    const bool is_ip = base_.table.family != NFPROTO_BRIDGE && base_.hook->devices.empty();
    const bool is_translated = stretch_ != Stretch::before ||
                               (culprit.are_answers && base_.hook->priority > kConntrackPriority);
    const bool by_host_port = stretch_ == (culprit.are_answers ? Stretch::behind : Stretch::before);
    const Wording match = is_ip && is_translated
                              ? translated_match()
                              : port_match(ports, culprit.are_answers, by_host_port);
    return accept_command(host_.others, base_, culprit.chain, culprit.handle, match);
  }

  const Host& host_;
  const Chain& base_;
  Stretch stretch_;
  std::set<Place> takes_first_{};  // those that take the packets which begin a connection
  std::map<Culprit, Ports> culprits_{};
};

std::vector<Finding> find_drops(const Host& host, Stretch stretch) {
  std::vector<Finding> findings;
  for (const auto& [name, chain] : host.others.chains) {
    if (stretch_of(chain) != stretch) continue;
    ChainJudge judge(host, chain);
    for (const RoutedPort& port : host.ports) judge.judge(port);
    for (Finding& finding : judge.findings()) findings.push_back(std::move(finding));
  }
  return findings;
}

}  // namespace

std::vector<Finding> find_arrival_drops(const Host& host) {
  return find_drops(host, Stretch::before);
}

std::vector<Finding> find_forward_drops(const Host& host) {
  return find_drops(host, Stretch::middle);
}

std::vector<Finding> find_departure_drops(const Host& host) {
  return find_drops(host, Stretch::behind);
}

}  // namespace portmapper::doctor
