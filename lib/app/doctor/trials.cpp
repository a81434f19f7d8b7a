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
  std::string what;  // empty: of the test client, and not of the port
  std::string why;
  auto operator<=>(const Failure&) const = default;
};

// What rules do with the test client's packets.
enum class Treatment : std::uint8_t { as_others, alike, not_known, dropped };

// `alone`: the host, with one port and the test client as the only one.
Treatment treatment_of(const Host& alone) {
  Treatment treatment = Treatment::as_others;
  for (const auto find : {find_arrival_drops, find_untracked, find_forward_drops,
                          find_departure_drops, find_shut_out})
    for (const Finding& finding : find(alone)) {
      if (finding.level == Finding::Level::problem) return Treatment::dropped;
      treatment = std::max(treatment, finding.is_alike ? Treatment::alike : Treatment::not_known);
    }
  return treatment;
}

bool is_of_rules(const std::string& check) {
  return check == "arrival" || check == "tracking" || check == "filters" || check == "departure" ||
         check == "networks";
}

// Null: its clients come by an interface that is in none.
const host::Interface* vrf_of(const Host& host, const RoutedPort& port) {
  if (port.ways.empty()) return nullptr;
  return host::vrf_of(host.interfaces, port.ways.front().request.in);
}

constexpr const char* kIsOnTheWay = "; the container answers the host itself, so it is on the way";

class TrialJudge {
 public:
  TrialJudge(const Host& host, const std::vector<Finding>& known) : host_(host) {
    for (const Finding& finding : known) {
      if (finding.level == Finding::Level::problem)
        explained_.insert(finding.ports.begin(), finding.ports.end());
      else if (is_of_rules(finding.check))
        noted_.insert(finding.ports.begin(), finding.ports.end());
      else if (finding.check == "containers")
        noted_inside_.insert(finding.ports.begin(), finding.ports.end());
    }
  }

  std::optional<Failure> failure_of(const RoutedPort& port) {
    const Trial& trial = port.trial;
    if (explained_.contains(to_string(port.published))) return std::nullopt;
    if (trial.outside == Answer::untried) {
      if (!fails(port, trial.direct)) return failure_of_host(port);
      return Failure{Finding::Level::problem,
                     "a connection from the host to the container " + result_of(trial.direct),
                     "nothing that was looked at explains it"};
    }
    if (!fails(port, trial.outside)) return failure_of_host(port);
    if (const host::Interface* vrf = vrf_of(host_, port); vrf != nullptr && !trial.was_taken)
      return failure_in_vrf(port, *vrf);
    if (noted_inside_.contains(to_string(port.published)))
      return untold(trial, "the note about its container may tell");
    if (fails(port, trial.direct)) return failure_of_both(trial);
    return failure_outside(port);
  }

 private:
  static Failure failure_of_both(const Trial& trial) {
    return {Finding::Level::problem, "a connection from a test client " + result_of(trial.outside),
            "nothing that was looked at explains it; one from the host straight to the container " +
                result_of(trial.direct) + " too, so it is the container or the link to it"};
  }

  // The test client is in the same VRF, so this is the fate of its clients.
  static Failure failure_in_vrf(const RoutedPort& port, const host::Interface& vrf) {
    return {
        Finding::Level::problem, "a connection from a test client " + result_of(port.trial.outside),
        "its clients come by " + port.ways.front().request.in + ", which is in VRF " + vrf.name +
            ", and for this kernel's rules the addresses of a VRF are not the host's own: those"
            " of Linux 6.1 are not, those of 6.12 are; it takes a newer kernel, or an"
            " interface that is in no VRF"};
  }

  // Its packets pass other chains than those of clients.
  static std::optional<Failure> failure_of_host(const RoutedPort& port) {
    if (!fails(port, port.trial.own)) return std::nullopt;
    const bool is_for_host = port.published.address.is_loopback();
    return Failure{
        is_for_host ? Finding::Level::problem : Finding::Level::note,
        "a connection from this host itself " + result_of(port.trial.own),
        "nothing that was looked at explains it; what the host sends passes the chains at"
        " output and postrouting and none at prerouting, and has routes of its own"};
  }

  // Where the test client's fate is not that of others.
  static Failure untold(const Trial& trial, const std::string& reason) {
    return {Finding::Level::note, "",
            "a connection from a test client " + result_of(trial.outside) + ", as " + reason +
                (trial.direct == Answer::answered ? kIsOnTheWay : "") +
                "; ask from a client to be sure"};
  }

  std::optional<Failure> failure_outside(const RoutedPort& port) {
    const Trial& trial = port.trial;
    const bool is_noted = noted_.contains(to_string(port.published));
    const Treatment treatment = of_test_client(port);
    if (treatment == Treatment::dropped && is_noted) return std::nullopt;
    if (treatment == Treatment::dropped)
      return untold(trial,
                    "rules, or the network's own conditions, leave out its interface or address;"
                    " those of the clients they let in, as far as is known here");
    if (!trial.finds_back)
      return untold(trial, "the host's routes lead the container's answers elsewhere than to it");
    const std::string what = "a connection from a test client " + result_of(trial.outside);
    const std::string why = std::string(is_noted ? "it may be what a note above tells of"
                                                 : "nothing that was looked at explains it") +
                            (trial.direct == Answer::answered ? kIsOnTheWay : "");
    // A rule that nothing is said of for clients is about the test client's interface or address.
    if (treatment == Treatment::as_others || (treatment == Treatment::alike && is_noted))
      return Failure{Finding::Level::problem, what, why};
    return Failure{Finding::Level::note, what,
                   why +
                       "; a rule, or a condition in its network's configuration, may tell the test"
                       " client's interface from others, which then do better"};
  }

  Treatment of_test_client(const RoutedPort& port) {
    const auto address = host_.probe_addresses.find(port.published.address.family());
    if (!host_.probe || host_.probe->empty() || address == host_.probe_addresses.end())
      return Treatment::as_others;
    if (!alone_) {
      alone_ = host_;
      alone_->devices = {{*host_.probe, 0}};
    }
    alone_->ports = {port};
    alone_->client = Client{address->second, *host_.probe};
    return treatment_of(*alone_);
  }

  const Host& host_;
  std::optional<Host> alone_{};
  std::set<std::string> explained_{};     // by a problem
  std::set<std::string> noted_{};         // a rule may drop their packets
  std::set<std::string> noted_inside_{};  // or their container may
};

std::string trace_of(const RoutedPort& port) {
  return "nft-port-mapperctl trace " + std::to_string(port.published.port.value()) + "/" +
         std::string(to_string(port.published.protocol));
}

}  // namespace

std::vector<Finding> find_unexplained(const Host& host, const std::vector<Finding>& known) {
  TrialJudge judge(host, known);
  std::map<Failure, std::vector<const RoutedPort*>> failures;
  for (const RoutedPort& port : host.ports)
    if (const auto failure = judge.failure_of(port)) failures[*failure].push_back(&port);
  std::vector<Finding> findings;
  if (!host.probe_refusal.empty())
    findings.push_back({Finding::Level::note, "no test client could be made: " + host.probe_refusal,
                        "so only connections from the host itself to the containers were tried"});
  for (const auto& [failure, ports] : failures) {
    Finding finding{.level = failure.level, .what = {}};
    for (const RoutedPort* port : ports) finding.ports.push_back(to_string(port->published));
    const std::string names = some_of(finding.ports);
    finding.what = failure.what.empty()
                       ? "no test connection tells about " + names
                       : names + (ports.size() == 1 ? " fails: " : " fail: ") + failure.what;
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
                        " published"});
  if (host.damage.empty()) return findings;
  Finding damage{Finding::Level::problem, some_of(host.damage, "; "),
                 "our own table is not as it should be: `check` finds this too"};
  for (const RoutedPort& port : host.ports)
    if ((fails(port, port.trial.outside) && !port.trial.was_taken) || fails(port, port.trial.own))
      damage.ports.push_back(to_string(port.published));
  if (!host.refusal.empty()) {
    damage.why += ", and what the kernel refuses stands in the way of a repair";
  } else if (host.is_mendable) {
    damage.why += ", and `check --repair` repairs what it can";
    damage.command = "nft-port-mapperctl check --repair";
  }
  findings.push_back(std::move(damage));
  return findings;
}

std::vector<Finding> find_missing(const Host& host) {
  std::vector<Finding> findings;
  const auto find = [&findings](const std::vector<std::string>& attachments, const char* what,
                                const char* effect, const char* lasting) {
    if (attachments.empty()) return;
    findings.push_back(
        {Finding::Level::problem,
         some_of(attachments) + (attachments.size() == 1 ? " is" : " are") +
             " alive and on record, and not " + what,
         std::string("somebody removed our table, or their elements (nft flush ruleset, a reload of"
                     " /etc/nftables.conf): ") +
             effect,
         "nft-port-mapperctl restore",
         std::string(lasting) +
             " until the next flush; the unit nft-port-mapper-restore.service runs restore after"
             " each reload"});
  };
  find(host.missing, "published", "their ports do not answer", "the ports stay");
  find(host.unmasqueraded, "masqueraded",
       "what they send leaves with their own addresses, and no answer comes back",
       "they are masqueraded");
  return findings;
}

}  // namespace portmapper::doctor
