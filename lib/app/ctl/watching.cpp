#include "lib/app/ctl/watching.hpp"

#include <linux/netfilter/nfnetlink.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/measure.hpp"
#include "lib/app/ctl/mending.hpp"
#include "lib/app/ctl/missing.hpp"
#include "lib/app/ctl/restoring.hpp"
#include "lib/app/ctl/seen.hpp"
#include "lib/app/publish.hpp"
#include "lib/app/retry.hpp"
#include "lib/base/counted.hpp"
#include "lib/base/escape.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::ctl {
namespace {

using Clock = std::chrono::steady_clock;
using watch::Hand;
using watch::Things;

constexpr std::chrono::milliseconds kSignals{200};  // after which a signal is seen
constexpr std::chrono::seconds kHostLooks{1};
constexpr std::chrono::seconds kMetricsAtLeast{15};
constexpr std::chrono::seconds kMetricsAtMost{5};
// A batch has been committed before its messages are there.
constexpr std::chrono::milliseconds kMessagesCome{20};
constexpr int kMostTries = 5;
constexpr std::chrono::minutes kSlowestDel{5};  // longer than runtimes wait for one
constexpr std::size_t kMostNamed = 3;

// "chain a is missing; chain b is missing; and 7 more"
std::string named(const Things& things) {
  std::string text;
  std::size_t count = 0;
  for (const std::string& thing : things) {
    if (count++ == kMostNamed) break;
    text += (text.empty() ? "" : "; ") + thing;
  }
  if (things.size() > kMostNamed)
    text += "; and " + std::to_string(things.size() - kMostNamed) + " more";
  return text;
}

// The devices that are recorded, or were, and are needed still.
std::set<std::string> still_recorded(const TableContents& contents) {
  std::set<std::string> devices(contents.localnet_devices.begin(), contents.localnet_devices.end());
  for (const auto* users : {&contents.localnet_users, &contents.lost_users})
    for (const auto& [owner, device] : *users)
      if (contents.known_devices.contains(device)) devices.insert(device);
  return devices;
}

std::string log_line(const std::string& text) {
  return log_lines({text});
}

// Beside what is nobody's, which stays.
bool has_work(const Audit& audit) {
  return !audit.repair.operations.empty() || !audit.close.empty() || !audit.open_devices.empty() ||
         !audit.loopback6.routes.empty();
}

bool includes(const Things& all, const Things& some) {
  return std::includes(all.begin(), all.end(), some.begin(), some.end());
}

std::string what_came_back(const restore::Restored& restored) {
  std::size_t ports = 0;
  for (const restore::Restored::Line& one : restored.restored) ports += one.ports;
  if (restored.restored.empty() && !restored.masqueraded.empty())
    return "masqueraded " + counted(restored.masqueraded.size(), "attachment") + " again";
  if (restored.restored.empty()) return "put it back";
  return "published " + counted(ports, "port") + " of " +
         counted(restored.restored.size(), "attachment") + " again";
}

}  // namespace

Watching::Watching(WatchWish wish, Netlink events, Netlink transport, Netlink route)
    : wish_(std::move(wish)),
      events_(std::move(events)),
      transport_(std::move(transport)),
      route_(std::move(route)),
      vigil_(Clock::now()) {}

Result<std::unique_ptr<Watching>> Watching::begin(WatchWish wish) {
  Result<Netlink> events = Netlink::open(NETLINK_NETFILTER);
  if (!events) return events.error();
  if (const Status joined = events->join(NFNLGRP_NFTABLES); !joined) return joined.error();
  Result<Netlink> transport = Netlink::open(NETLINK_NETFILTER);
  if (!transport) return transport.error();
  Result<Netlink> route = Netlink::open(NETLINK_ROUTE);
  if (!route) return route.error();
  return std::unique_ptr<Watching>(
      new Watching(std::move(wish), std::move(*events), std::move(*transport), std::move(*route)));
}

watch::Time Watching::next() const {
  watch::Time at = std::min(vigil_.look_at(), next_host_look_);
  if (wish_.metrics_file) at = std::min(at, next_metrics_);
  return std::min(at, Clock::now() + kSignals);
}

// What there is, and what comes until then if nothing is there.
Status Watching::listen(watch::Time deadline) {
  const Result<bool> came = events_.wait(deadline, [this](const nlmsghdr& message) {
    if (const auto change = changes_.read(message))
      vigil_.changed(Clock::now(), change->is_ours ? Hand::ours : Hand::others);
  });
  if (came) return {};
  if (came.error().error_number != ENOBUFS && came.error().error_number != EMSGSIZE)
    return came.error();
  changes_.forget();
  ++figures_.lost_events;
  vigil_.changed(Clock::now(), Hand::unknown);
  return {};
}

Status Watching::listen_all(watch::Time deadline) {
  do {
    if (const Status listened = listen(deadline); !listened) return listened;
  } while (Clock::now() < deadline);
  return {};
}

void Watching::look_at_host() {
  next_host_look_ = Clock::now() + kHostLooks;
  LoopbackState now = read_loopback_state(route_, devices_);
  if (now != loopback_) vigil_.host_changed(Clock::now());
  loopback_ = std::move(now);
  // A table that a process owns goes with it, and the kernel tells nobody.
  const Result<bool> has_table = nft::has_table(transport_);
  if (has_table && had_table_ && *has_table != *had_table_)
    vigil_.changed(Clock::now(), Hand::unknown);
}

// What we published after a DEL had passed, and before the runtime forgot it.
std::string Watching::take_back() {
  std::string log;
  for (auto item = published_.begin(); item != published_.end();) {
    const bool is_forgotten = access(item->first.c_str(), F_OK) != 0 && errno == ENOENT;
    const bool is_done = is_forgotten && withdraw(item->second, log);
    const bool is_over = Clock::now() >= item->second.until;
    item = is_done || is_over ? published_.erase(item) : std::next(item);
  }
  return log;
}

// Whether nothing of it is left. That it cannot be withdrawn is told once.
bool Watching::withdraw(Published& published, std::string& log) {
  std::vector<std::string> notes;
  Result<nft::InstalledPorts> gone = nft::InstalledPorts();
  if (!published.withdrawal.chain.empty())
    gone = app::withdraw(transport_, published.withdrawal, notes, published.close_connections);
  Result<bool> unmasqueraded = false;
  if (published.is_masqueraded)
    unmasqueraded = app::take_back_masquerade(transport_, published.withdrawal.owner,
                                              *published.withdrawal.only);
  log += log_lines(notes);
  for (const Error* error :
       {gone ? nullptr : &gone.error(), unmasqueraded ? nullptr : &unmasqueraded.error()})
    if (error != nullptr && !std::exchange(published.is_told, true))
      log += log_line("cannot take back " + published.comment + ": " + error->message());
  if (gone && !gone->empty())
    log += log_line("took back " + counted(gone->ports.size(), "port") + " of " +
                    published.comment + ": its record is gone");
  if (unmasqueraded && *unmasqueraded)
    log += log_line("ended the masquerading of " + published.comment + ": its record is gone");
  return gone && unmasqueraded;
}

// With what was recorded of devices before.
Result<TableContents> Watching::read() {
  Result<TableContents> contents = read_table(transport_, Life::unasked);
  if (contents) contents->known_devices = recorded_;
  return contents;
}

Result<watch::Seen> Watching::look(bool with_records) {
  const watch::Time begin = Clock::now();
  watch::Seen seen{.is_whole = false};
  // Before the table, or a change in between would be taken for seen.
  loopback_ = read_loopback_state(route_, devices_);
  for (int reading = 0; reading < kMostTries; ++reading) {
    const Result<TableContents> contents = read();
    if (!contents && !app::changed_concurrently(contents.error().error_number))
      return contents.error();
    if (!contents) continue;
    const bool had_ports = std::exchange(had_ports_, !contents->owners.empty());
    had_table_ = contents->exists;
    // Of a table that had none, the records alone tell whether somebody needs it; of one that had some,
    // reading them would take as long as the repair.
    std::optional<std::vector<Missing>> missing;
    if (contents->exists ? with_records : !had_ports) {
      Result<std::vector<Missing>> found = find_missing(transport_);
      if (!found && !app::changed_concurrently(found.error().error_number)) return found.error();
      if (!found) continue;
      missing = *std::move(found);
    }
    const Result<app::EgressAudit> egress = app::audit_masquerade(transport_);
    if (!egress && !app::changed_concurrently(egress.error().error_number)) return egress.error();
    if (!egress) continue;
    Audit audit = audit_table(*contents);
    add_egress(*egress, audit);
    seen = seen_of(*contents, audit, missing, had_ports);
    devices_ = loopback_devices(*contents);
    recorded_ = still_recorded(*contents);
    // Somebody else's table, or ours: then there are messages.
    const auto wait = contents->is_steady ? Clock::now() : Clock::now() + kMessagesCome;
    if (const Status listened = listen_all(wait); !listened) return listened.error();
    break;
  }
  seen.begin = begin;
  return seen;
}

Result<watch::Seen> Watching::look_after_repair() {
  if (const Status listened = listen(Clock::now()); !listened) return listened.error();
  for (app::Retry retry; retry.again();) {
    Result<watch::Seen> after = look(/*with_records=*/true);
    if (!after || after->is_whole) return after;
  }
  return app::Retry::exhausted();
}

bool Watching::restore_ports(const Things& things, const watch::Seen& found, Done& done) {
  const Result<restore::Restored> restored =
      restore_all(transport_, restore::default_sources(), restore::Mode::publish);
  if (!restored) {
    done.problems = log_line(restored.error().message());
    return false;
  }
  for (const restore::Seen& seen : restored->seen)
    if (seen.standing == restore::Standing::restored && seen.plan)
      published_[seen.path] =
          Published{.withdrawal = {nft::owner_hash(seen.plan->attachment), seen.plan->chain.name,
                                   seen.plan->netns, /*only_restored=*/true},
                    .comment = nft::attachment_comment(seen.plan->attachment),
                    .close_connections = seen.plan->close_connections,
                    .until = Clock::now() + kSlowestDel};
  for (const restore::Restored::Line& line : restored->masqueraded) {
    Published& published = published_[line.path];
    published.is_masqueraded = true;
    published.withdrawal.owner = nft::owner_hash(line.names);
    published.withdrawal.only = line.netns;
    published.comment = line.attachment;
    published.until = Clock::now() + kSlowestDel;
  }
  const bool is_nothing = restored->restored.empty() && restored->masqueraded.empty();
  const Result<bool> has_table = nft::has_table(transport_);
  const bool is_nobodys = is_nothing && restored->published == 0 && has_table && !*has_table;
  done.what = what_came_back(*restored);
  done.problems = log_lines(restored->problems) + log_lines(restored->ended);
  done.is_nothing = is_nobodys || (is_nothing && found.missing && includes(*found.missing, things));
  return !restored->has_failed &&
         std::none_of(restored->seen.begin(), restored->seen.end(), [](const restore::Seen& seen) {
           return seen.standing == restore::Standing::refused;
         });
}

bool Watching::mend_table(Done& done) {
  bool had_work = false;
  const Status mended = app::retried([&]() -> Status {
    const Result<TableContents> contents = read();
    if (!contents) return contents.error();
    const Audit now = audit_table(*contents);
    if (now.mendable() == 0) return {};
    const Result<std::vector<Error>> left = mend(transport_, now, Mending::additions);
    if (!left) return left.error();
    had_work = has_work(now);
    done.is_nothing = done.is_nothing && !had_work;
    for (const Error& error : *left) done.problems += log_line(error.message());
    return {};
  });
  if (!mended) done.problems += log_line(mended.error().message());
  const Result<bool> masqueraded = app::mend_masquerade(transport_);
  if (!masqueraded) done.problems += log_line(masqueraded.error().message());
  if (masqueraded && *masqueraded) done.is_nothing = false;
  return had_work;
}

// Where ports cannot be published, since a set is of another type or is full, the table is mended first.
Watching::Done Watching::repair(const Things& things, const watch::Seen& found) {
  Done done{.what = "set it again"};
  const bool is_refused = !includes(found.of_host, things) && !restore_ports(things, found, done);
  if (mend_table(done) && is_refused) {
    (void)restore_ports(things, found, done);
    (void)mend_table(done);
  }
  return done;
}

// Who gives up leaves the table whole, as far as that is in our power: another hand may have been in the
// last repair.
void Watching::repair_once_more(const watch::Seen& after) {
  Things things = after.damage;
  things.insert(after.of_host.begin(), after.of_host.end());
  if (after.missing) things.insert(after.missing->begin(), after.missing->end());
  if (!things.empty()) (void)repair(things, after);
}

// Those lines that the last repairs have not told: somebody who owns the table may change it all day.
std::string Watching::tell_problems(const std::string& problems) {
  if (problems.empty()) told_problems_.clear();
  std::string news;
  for (std::size_t begin = 0; begin < problems.size();) {
    const std::size_t end = problems.find('\n', begin) + 1;
    const std::string line = problems.substr(begin, end - begin);
    if (told_problems_.insert(line).second) news += line;
    begin = end;
  }
  return news;
}

std::string Watching::tell_left(const Things& left) {
  Things news;
  for (const std::string& thing : left)
    if (told_left_.insert(thing).second) news.insert(thing);
  if (news.empty()) return {};
  return log_line("cannot repair: " + named(news) + "; nft-port-mapperctl check says what helps");
}

Watching::Part Watching::tell(const Things& things, const Done& done, const watch::Seen& after) {
  Part part;
  const watch::Repaired repaired = vigil_.repaired(
      Clock::now(), things, after, done.is_nothing ? watch::Work::none : watch::Work::some);
  if (!repaired.mended.empty()) {
    ++figures_.repairs;
    part.outcome.log = log_line("repaired: " + named(repaired.mended) + ": " + done.what);
  }
  part.outcome.log += tell_problems(done.problems) + tell_left(repaired.left);
  if (!repaired.fight) return part;
  part.outcome.log +=
      log_line(*repaired.fight + ": this was repaired " + std::to_string(repaired.times) +
               " times within a minute, so somebody removes it on purpose; watch ends."
               " nft monitor shows who changes what");
  part.outcome.status = kProblem;
  part.is_last = true;
  return part;
}

Watching::Part Watching::look_and_repair() {
  const auto fail = [](const Error& error) {
    return Part{.outcome = could_not_look(error), .is_last = true};
  };
  const Result<watch::Seen> found = look(vigil_.wants_records());
  if (!found) return fail(found.error());
  const Things things = vigil_.judge(Clock::now(), *found);
  next_metrics_ = std::min(next_metrics_, soonest_metrics_);
  std::erase_if(told_left_, [&found](const std::string& thing) {
    return found->missing && !found->has(thing);
  });
  if (things.empty()) return {};
  const Done done = repair(things, *found);
  const Result<watch::Seen> after = look_after_repair();
  if (!after) return fail(after.error());
  Part part = tell(things, done, *after);
  if (part.is_last) repair_once_more(*after);
  return part;
}

Status Watching::write_metrics() {
  next_metrics_ = Clock::now() + kMetricsAtLeast;
  soonest_metrics_ = Clock::now() + kMetricsAtMost;
  Result<metrics::Figures> figures = measure(transport_);
  if (!figures) return figures.error();
  figures->watch = figures_;
  return write_figures(*wish_.metrics_file, metrics::format(*figures, wish_.per_port));
}

std::string Watching::keep_metrics() {
  const Status written = write_metrics();
  const std::string why = written ? "" : written.error().message();
  if (why == std::exchange(told_, why)) return {};
  return log_line(why.empty() ? "written again: " + *wish_.metrics_file : why);
}

Watching::Part Watching::go_on() {
  for (;;) {
    if (signals_.came()) return {.is_last = true};
    if (const Status listened = listen(next()); !listened)
      return {.outcome = could_not_look(listened.error()), .is_last = true};
    Part part;
    if (Clock::now() >= next_host_look_) {
      look_at_host();
      part.outcome.log = take_back();
      if (!part.outcome.log.empty()) return part;
    }
    if (Clock::now() >= vigil_.look_at()) part = look_and_repair();
    if (wish_.metrics_file && Clock::now() >= next_metrics_) part.outcome.log += keep_metrics();
    if (part.is_last || !part.outcome.log.empty()) return part;
  }
}

}  // namespace portmapper::ctl
