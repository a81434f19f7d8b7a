#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <memory>
#include <vector>

#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/held_signals.hpp"
#include "lib/app/ctl/service.hpp"
#include "lib/app/ctl/trace_facts.hpp"
#include "lib/app/retry.hpp"
#include "lib/app/trace/format.hpp"
#include "lib/base/escape.hpp"
#include "nft/foreign/reader.hpp"
#include "nft/read/reader.hpp"
#include "nft/trace/table.hpp"

namespace portmapper::ctl {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint32_t kMostPackets = 1000;
// After which a packet that was lost on the host, or answered, has come to its end.
constexpr std::chrono::milliseconds kSettled{200};
// For an answer; longer than the kernel looks for a neighbour.
constexpr std::chrono::milliseconds kPatience{4000};
constexpr std::chrono::milliseconds kTurn{50};

struct TraceOptions {
  Protocol protocol;
  Port port;
  std::optional<IpAddress> from{};
  std::uint32_t count = 1;
  bool json = false;

  [[nodiscard]] std::string service() const { return to_string(Service{port, protocol}); }
};

Result<TraceOptions> parse_trace_options(const Arguments& arguments) {
  if (arguments.words.empty()) return invalid_input("trace needs a port: trace 8080/tcp");
  const Result<Service> service = parse_service(arguments.words.front());
  if (!service) return service.error();
  TraceOptions options{.protocol = service->protocol.value_or(Protocol::tcp),
                       .port = service->port,
                       .json = arguments.has("--json")};
  if (const auto from = arguments.value("--from")) {
    const Result<IpAddress> client = parse_client(*from);
    if (!client) return client.error();
    options.from = *client;
  }
  if (const auto count = arguments.value("--count")) {
    const char* end = count->data() + count->size();
    const auto [rest, error] = std::from_chars(count->data(), end, options.count);
    if (error != std::errc() || rest != end || options.count < 1 || options.count > kMostPackets)
      return invalid_input("--count: '" + printable(*count) + "' is not a number from 1 to " +
                           std::to_string(kMostPackets));
  }
  return options;
}

Result<trace::Chains> read_chains_again(Transport& transport) {
  for (app::Retry retry; retry.again();) {
    Result<trace::Chains> chains = nft::foreign::read_every_chain(transport);
    if (chains || !app::changed_concurrently(chains.error().error_number)) return chains;
  }
  return app::Retry::exhausted();
}

// One trace, from its table to its end. The table goes with the socket that made it, so nothing may
// close that one meanwhile, as Transport::peek does.
class Tracing {
 public:
  Tracing(const TraceOptions& options, Netlink owner, Netlink events, trace::Known known,
          trace::Chains chains)
      : options_(options),
        owner_(std::move(owner)),
        events_(std::move(events)),
        known_(std::move(known)),
        chains_(chains),
        ways_(table_, std::move(chains)) {}
  Tracing(const Tracing&) = delete;
  Tracing& operator=(const Tracing&) = delete;
  ~Tracing() {
    if (is_installed_) (void)nft::trace::remove(owner_, table_);
  }

  Status install() {
    nft::trace::Wish wish{.protocol = options_.protocol,
                          .port = options_.port,
                          .from = options_.from,
                          .count = options_.count,
                          .answers = known_.sees_answers};
    for (const trace::Publisher& one : known_.publishers)
      if (!one.published.address.is_any()) wish.addresses.push_back(one.published.address);
    const Status installed = nft::trace::install(owner_, table_, wish);
    is_installed_ = static_cast<bool>(installed);
    deadline_ = Clock::now() + nft::trace::kLifetime;
    return installed;
  }

  [[nodiscard]] app::Outcome begin() const {
    app::Outcome outcome;
    if (!options_.json) outcome.out = trace::format_publishers(known_);
    outcome.log = "Waiting for " +
                  (options_.count == 1 ? std::string("a packet that begins")
                                       : std::to_string(options_.count) + " packets that begin") +
                  " a connection to " + options_.service() +
                  (options_.from ? ", from " + options_.from->to_string() : "") + ", at most " +
                  std::to_string(nft::trace::kLifetime.count()) + " seconds.\n";
    return outcome;
  }

  // What is to be printed next, and whether that was all.
  struct Part {
    app::Outcome outcome{};
    bool is_last = false;
  };
  Part go_on() {
    for (;;) {
      const bool is_over = Clock::now() >= deadline_ || signals_.came();
      Part part{.is_last = is_over};
      tell(is_over, part.outcome);
      part.is_last = is_over || told_ == options_.count;
      if (part.is_last) return finish(std::move(part));
      if (!part.outcome.out.empty()) return part;
      if (const Status listened = listen(); !listened) {
        part.outcome = could_not_look(listened.error());
        part.is_last = true;
        return part;
      }
    }
  }

 private:
  Status listen() {
    const auto deadline = std::min(deadline_, Clock::now() + kTurn);
    const Result<bool> came = events_.wait(deadline, [this](const nlmsghdr& message) {
      const auto event = nft::trace::parse_event(message);
      if (!event) return;
      const auto packet = ways_.see(*event);
      if (!packet) return;
      seen_.resize(ways_.packets().size());
      seen_[*packet] = Clock::now();
    });
    // Events of packets that others trace, mostly: those that came are told.
    if (!came && came.error().error_number != ENOBUFS && came.error().error_number != EMSGSIZE)
      return came.error();
    return {};
  }

  [[nodiscard]] bool is_complete(std::size_t request) const {
    const auto answer = ways_.answer_to(request);
    const auto last = answer ? std::max(seen_[*answer], seen_[request]) : seen_[request];
    const trace::Fate fate = trace::end_of(ways_.packets()[request]).fate;
    const bool may_be_answered =
        fate == trace::Fate::left || fate == trace::Fate::delivered || fate == trace::Fate::queued;
    const bool is_awaited = !answer && may_be_answered && known_.sees_answers;
    return Clock::now() >= last + (is_awaited ? kPatience : kSettled);
  }

  // In the order in which they came.
  void tell(bool all, app::Outcome& outcome) {
    const std::vector<std::size_t> requests = ways_.requests();
    for (; told_ < requests.size() && (all || is_complete(requests[told_])); ++told_) {
      const auto answer = ways_.answer_to(requests[told_]);
      trace::Story story{.number = told_ + 1, .request = ways_.packets()[requests[told_]]};
      if (answer) story.answer = ways_.packets()[*answer];
      learn_about(owner_, story, known_);
      trace::Conclusion conclusion = trace::conclude(story, known_);
      is_well_ = is_well_ && conclusion.is_well();
      all_.push_back({std::move(story), std::move(conclusion)});
      if (!options_.json) outcome.out += trace::format(all_.back(), known_);
    }
  }

  Part finish(Part part) {
    if (options_.json) part.outcome.out = trace::format_json(all_, known_);
    if (told_ == 0 && !options_.json) part.outcome.out += nothing_came();
    part.outcome.status = told_ != 0 && is_well_ ? 0 : kProblem;
    return part;
  }

  [[nodiscard]] std::string nothing_came() const {
    std::string text =
        "\nNothing came: no packet that begins a connection to " + options_.service() +
        (options_.from ? " came from " + options_.from->to_string() : " came") +
        " to an address of this host, nor did the host send one.\n"
        "It is lost before: in the client's network, at another firewall, or on the way here."
        " Packets of\nconnections that are older are not looked at.\n";
    for (const auto& [name, chain] : chains_)
      if (chain.hook &&
          (name.first.family == NFPROTO_NETDEV || name.first.family == NFPROTO_BRIDGE))
        text += "Chain " + printable(name.second) + " of table " +
                printable(to_string(name.first)) + " sees packets before, and may drop them.\n";
    return text;
  }

  HeldSignals signals_;
  TraceOptions options_;
  Netlink owner_;
  Netlink events_;
  trace::Known known_;
  trace::Chains chains_;
  std::string table_ = nft::trace::table_name(getpid());
  trace::Ways ways_;
  bool is_installed_ = false;
  Clock::time_point deadline_{};
  std::vector<Clock::time_point> seen_;  // when, of each packet, the last event
  std::vector<trace::Told> all_;
  std::size_t told_ = 0;
  bool is_well_ = true;
};

app::Outcome go_on(const std::shared_ptr<Tracing>& tracing) {
  Tracing::Part part = tracing->go_on();
  if (!part.is_last) part.outcome.next = [tracing] { return go_on(tracing); };
  return std::move(part.outcome);
}

Result<Netlink> listen_to_trace() {
  Result<Netlink> events = Netlink::open(NETLINK_NETFILTER);
  if (!events) return events;
  if (const Status joined = events->join(NFNLGRP_NFTRACE); !joined) return joined.error();
  return events;
}

}  // namespace

app::Outcome trace(const Arguments& arguments) {
  Result<TraceOptions> options = parse_trace_options(arguments);
  if (!options) return wrong_usage(options.error().message());
  Result<Netlink> owner = Netlink::open(NETLINK_NETFILTER);
  if (!owner) return could_not_look(owner.error());
  Result<trace::Known> known = read_publishers(*owner, options->protocol, options->port);
  if (!known) return could_not_look(known.error());
  // Answers are told by conntrack, which a host without our table may not use.
  const Result<bool> has_table = nft::has_table(*owner);
  if (!has_table) return could_not_look(has_table.error());
  known->sees_answers = *has_table;
  Result<Netlink> events = listen_to_trace();
  if (!events) return could_not_look(events.error());
  Result<trace::Chains> chains = read_chains_again(*owner);
  if (!chains) return could_not_look(chains.error());
  const auto tracing = std::make_shared<Tracing>(*options, std::move(*owner), std::move(*events),
                                                 std::move(*known), std::move(*chains));
  if (const Status installed = tracing->install(); !installed)
    return could_not_look(installed.error());
  app::Outcome outcome = tracing->begin();
  outcome.next = [tracing] { return go_on(tracing); };
  return outcome;
}

}  // namespace portmapper::ctl
