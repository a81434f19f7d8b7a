// The checks of lib/app/doctor/doctor that judge our own table as a whole, and what real connections
// came to.

#include <algorithm>
#include <map>
#include <set>

#include "lib/app/doctor/doctor.hpp"

namespace portmapper::doctor {
namespace {

using host::Answer;

std::string result_of(Answer answer) {
  if (answer == Answer::refused) return "was refused";
  return answer == Answer::unreachable ? "found no way" : "got no answer";
}

// Silence is no bad sign where a datagram was sent.
bool fails(const RoutedPort& port, Answer answer) {
  if (answer == Answer::silent) return port.published.protocol == Protocol::tcp;
  return answer == Answer::refused || answer == Answer::unreachable;
}

// What became of one port's connections, in words.
struct Failure {
  Finding::Level level = Finding::Level::problem;
  std::string what;
  std::string why;
  auto operator<=>(const Failure&) const = default;
};

// Whether rules of others would drop what comes by the test client's interface, and nothing else.
bool is_told_apart(const Host& host, const RoutedPort& port) {
  Host alone;
  alone.others = host.others;
  alone.ports = {port};
  alone.devices = {{*host.probe, 0}};
  return !find_arrival_drops(alone).empty() || !find_untracked(alone).empty() ||
         !find_forward_drops(alone).empty() || !find_departure_drops(alone).empty();
}

std::optional<Failure> failure_of(const Host& host, const RoutedPort& port) {
  const Trial& trial = port.trial;
  if (trial.outside == Answer::untried) {
    if (!fails(port, trial.direct)) return std::nullopt;
    return Failure{Finding::Level::problem,
                   "a connection from the host to the container " + result_of(trial.direct),
                   "nothing that was looked at explains it"};
  }
  if (!fails(port, trial.outside)) return std::nullopt;
  Failure failure{Finding::Level::problem,
                  "a connection from a test client " + result_of(trial.outside),
                  "nothing that was looked at explains it"};
  if (trial.direct == Answer::answered)
    failure.why += "; the container answers the host itself, so it is on the way";
  else if (fails(port, trial.direct))
    failure.why += "; one from the host straight to the container " + result_of(trial.direct) +
                   " too, so it is the container or the link to it";
  const bool may_be_the_client =
      trial.direct == Answer::answered &&
      (!trial.was_taken || (host.probe && !host.probe->empty() && is_told_apart(host, port)));
  if (may_be_the_client) {
    failure.level = Finding::Level::note;
    failure.why +=
        "; a rule, or a condition in its network's configuration, may tell the test"
        " client's interface from others, which then do better";
  }
  return failure;
}

std::string trace_of(const RoutedPort& port) {
  return "nft-port-mapperctl trace " + std::to_string(port.published.port.value()) + "/" +
         std::string(to_string(port.published.protocol));
}

}  // namespace

std::vector<Finding> find_unexplained(const Host& host, const std::vector<Finding>& known) {
  std::set<std::string> explained;
  for (const Finding& finding : known)
    if (finding.level == Finding::Level::problem)
      explained.insert(finding.ports.begin(), finding.ports.end());
  std::map<Failure, std::vector<const RoutedPort*>> failures;
  for (const RoutedPort& port : host.ports) {
    if (explained.contains(to_string(port.published))) continue;
    if (const auto failure = failure_of(host, port)) failures[*failure].push_back(&port);
  }
  std::vector<Finding> findings;
  if (!host.probe_refusal.empty())
    findings.push_back({Finding::Level::note, "no test client could be made: " + host.probe_refusal,
                        "so only connections from the host itself to the containers were tried"});
  for (const auto& [failure, ports] : failures) {
    Finding finding{.level = failure.level, .what = {}};
    for (const RoutedPort* port : ports) finding.ports.push_back(to_string(port->published));
    finding.what =
        some_of(finding.ports) + (ports.size() == 1 ? " fails: " : " fail: ") + failure.what;
    finding.why = failure.why + "; see where its packets go";
    finding.command = trace_of(*ports.front());
    findings.push_back(std::move(finding));
  }
  return findings;
}

std::vector<Finding> find_damage(const Host& host) {
  std::vector<Finding> findings;
  if (!host.asked.empty() && host.ports.empty())
    findings.push_back({Finding::Level::problem, "nobody publishes " + host.asked,
                        "connections to it are the host's own business; `list` shows what is"
                        " published, and `owner` who had it"});
  for (const std::string& damage : host.damage)
    findings.push_back({Finding::Level::problem, damage,
                        "our own table is not as it should be: `check` finds this too, and"
                        " `check --repair` repairs what it can"});
  if (host.is_mendable && !findings.empty())
    findings.back().command = "nft-port-mapperctl check --repair";
  return findings;
}

std::vector<Finding> find_missing(const Host& host) {
  if (host.missing.empty()) return {};
  return {
      {Finding::Level::problem,
       some_of(host.missing) + (host.missing.size() == 1 ? " is" : " are") +
           " alive and on record, and not published",
       "somebody removed our table, or their elements (nft flush ruleset, a reload of"
       " /etc/nftables.conf): their ports do not answer",
       "nft-port-mapperctl restore",
       "the ports stay until the next flush; the unit nft-port-mapper-restore.service runs restore"
       " after each reload"}};
}

}  // namespace portmapper::doctor
