#include "lib/app/restore/restore.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <map>
#include <optional>
#include <thread>

#include "lib/app/carry_out.hpp"
#include "lib/app/egress.hpp"
#include "lib/app/exposure.hpp"
#include "lib/app/host_effects.hpp"
#include "lib/app/host_processes.hpp"
#include "lib/app/look.hpp"
#include "lib/app/loopback_again.hpp"
#include "lib/app/publish.hpp"
#include "lib/app/restore/egress_again.hpp"
#include "lib/app/restore/plan_again.hpp"
#include "lib/app/retry.hpp"
#include "lib/host/route_localnet.hpp"
#include "nft/is_published.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::restore {
namespace {

constexpr std::chrono::milliseconds kSettle{1000};
constexpr std::chrono::milliseconds kHalfWritten{100};
constexpr int kMostLooks = 6;

// What is known of one file.
struct Tracked {
  Standing standing = Standing::undecided;
  std::optional<nft::Plan> plan;
  bool tells_of_listeners = false;
  std::string problem;
  Attachment names{};
  std::string config{};
  std::vector<IpAddress> inside{};  // the addresses of its namespace
};

class Restorer {
 public:
  Restorer(Transport& transport, const std::vector<Source>& sources, Mode mode,
           const Selection& selection)
      : transport_(transport), sources_(sources), mode_(mode), selection_(selection) {}

  Result<Restored> run() {
    for (int look = 0; look < kMostLooks; ++look) {
      const bool has_restored = std::any_of(tracked_.begin(), tracked_.end(), is_restored);
      const Result<bool> changed = look_once(/*may_publish=*/look + 1 < kMostLooks);
      if (!changed) return changed.error();
      if (mode_ == Mode::dry_run) break;
      const bool restored = std::any_of(tracked_.begin(), tracked_.end(), is_restored);
      if (restored && !has_restored) continue;  // at once: what vanished while we were reading?
      // Then once every DEL that was running has ended, and again while anything changes.
      if (*changed || (restored && !settled_)) {
        std::this_thread::sleep_for(kSettle);
        settled_ = true;
      } else if (look == 0 && has_unreadable()) {
        std::this_thread::sleep_for(kHalfWritten);
      } else {
        break;
      }
    }
    app::effects_of_dels(transport_, ended_, notes_);
    if (!selection_.is_all) return report();
    // What a port needs gets its record first. What was restored is told whatever becomes of these.
    for (const Status& done : {end_exposure(), decide_loopback_again(), end_left_routes()})
      if (!done) other_problems_.push_back(done.error().message());
    return report();
  }
  // Whether a record wants that.
  [[nodiscard]] bool masquerades() const { return masquerades_; }

 private:
  // br_netfilter may have come, or gone, since the ports were published.
  Status decide_loopback_again() {
    if (mode_ == Mode::dry_run) return {};
    Result<app::MendedLoopback> mended = app::mend_loopback(transport_);
    if (!mended) return mended.error();
    for (std::string& finding : mended->findings) notes_.push_back("mended: " + std::move(finding));
    for (const Error& error : mended->left)
      notes_.push_back(error.message() + "; " + nft::no_answer_by_loopback(Family::ipv6));
    return {};
  }

  // What nft flush ruleset left open, if nothing that lives brought the guard back.
  Status end_exposure() {
    const Result<std::vector<std::string>> exposed =
        app::retried([this] { return app::exposed_devices(transport_); });
    if (!exposed) return exposed.error();
    if (exposed->empty()) return {};
    if (mode_ == Mode::dry_run) {
      if (std::any_of(tracked_.begin(), tracked_.end(), is_restored)) return {};
      for (const std::string& device : *exposed) notes_.push_back(app::exposure_of(device));
      return {};
    }
    const Result<bool> has_table = nft::has_table(transport_);
    if (!has_table) return has_table.error();
    if (*has_table) return app::carry_out(transport_, {}, nft::decide_skeleton).status;
    for (const std::string& device : *exposed) {
      const Result<bool> closed = app::close_unrecorded(transport_, Family::ipv4, device);
      if (!closed)
        other_problems_.push_back(closed.error().message());  // and on with the next
      else if (*closed)
        notes_.push_back("reset route_localnet of " + device +
                         ": no port needs it, and no guard was there");
    }
    return {};
  }

  Status end_left_routes() {
    const Result<std::vector<std::string>> devices =
        app::retried([this] { return app::left_routes(transport_); });
    if (!devices) return devices.error();
    for (const std::string& device : *devices) {
      if (mode_ == Mode::dry_run) {
        if (std::none_of(tracked_.begin(), tracked_.end(), is_restored))
          notes_.push_back(app::left_route_of(device));
        continue;
      }
      const Result<bool> closed = app::close_unrecorded(transport_, Family::ipv6, device);
      if (!closed)
        other_problems_.push_back(closed.error().message());
      else if (*closed)
        notes_.push_back("removed the route of ::1 on " + device + ": no port needs it");
    }
    return {};
  }

  using Item = std::pair<const std::string, Tracked>;
  static bool is_restored(const Item& item) { return item.second.standing == Standing::restored; }

  [[nodiscard]] bool has_unreadable() const {
    return std::any_of(tracked_.begin(), tracked_.end(), [](const Item& item) {
      return !item.second.plan && !item.second.problem.empty();
    });
  }

  // Whether anything was restored or taken back. The last look publishes nothing, since none comes
  // after it that would take it back.
  Result<bool> look_once(bool may_publish) {
    Scan scan = scan_checkpoints(sources_, states_, selection_.types);
    states_ = std::move(scan.states);
    scan_problems_ = std::move(scan.problems);
    std::map<std::string, Tracked> before = std::move(tracked_);
    tracked_.clear();
    for (auto& [path, tracked] : before)
      if (states_.contains(path)) tracked_.insert_or_assign(path, tracked);
    std::vector<std::string> fresh;  // oldest first
    for (const Reading& reading : scan.readings) {
      tracked_.insert_or_assign(reading.path, judge(reading));
      fresh.push_back(reading.path);
    }
    const std::size_t taken = taken_back_.size();
    see_who_lives();
    for (const auto& [path, tracked] : before)
      if (tracked.standing == Standing::restored && is_over(path)) take_back(*tracked.plan);
    if (!may_publish) return taken_back_.size() != taken;
    const Result<bool> published = publish_missing(fresh);
    if (!published) return published.error();
    return *published || taken_back_.size() != taken;
  }

  // An entry that was rewritten belongs to another ADD, which has replaced what we restored.
  [[nodiscard]] bool is_over(const std::string& path) const {
    const auto now = tracked_.find(path);
    if (now == tracked_.end() || now->second.standing == Standing::gone) return true;
    return now->second.standing == Standing::idle && now->second.problem.empty();
  }

  Tracked judge(const Reading& reading) {
    Tracked tracked;
    tracked.standing = Standing::idle;
    if (!reading.cached) {
      tracked.problem = reading.cached.error().message();
      return tracked;
    }
    if (!*reading.cached) return tracked;
    tracked.names = (*reading.cached)->attachment;
    tracked.config = (*reading.cached)->config;
    const Result<config::NetConf> conf =
        config::parse_net_conf((*reading.cached)->config, cni::Command::add);
    Result<nft::Plan> plan = plan_again(**reading.cached, conf);
    if (!plan) {
      tracked.problem = reading.path + ": " + plan.error().message();
      return tracked;
    }
    masquerades_ = masquerades_ || !plan->egress.empty();
    if (!plan->translations.empty() && (!selection_.takes || selection_.takes(*plan))) {
      tracked.plan = std::move(*plan);
      tracked.tells_of_listeners = conf->host_listeners != config::HostListeners::hidden;
      tracked.standing = Standing::undecided;
    }
    return tracked;
  }

  void see_who_lives() {
    std::set<std::string> namespaces;
    for (const auto& [path, tracked] : tracked_)
      if (is_of_interest(tracked)) namespaces.insert(tracked.plan->netns.path);
    const std::map<std::string, host::NetnsAddresses> inside =
        host::read_netns_addresses(namespaces);
    for (auto& [path, tracked] : tracked_) {
      if (!is_of_interest(tracked)) continue;
      NetworkNamespace& netns = tracked.plan->netns;
      const host::NetnsAddresses& place = inside.at(netns.path);
      if (place.error) {
        tracked.problem = path + ": " + place.error->message();
        if (tracked.standing == Standing::undecided) tracked.standing = Standing::refused;
      } else if (!is_inside(*tracked.plan, place)) {
        tracked.standing = Standing::gone;
      } else if (tracked.standing == Standing::undecided) {  // else it is what was recorded
        netns = {netns.path,     place.netns.device, place.netns.inode,
                 place.netns.id, place.netns.cookie, netns.observer};
        tracked.inside = place.addresses;
      }
    }
  }

  static bool is_of_interest(const Tracked& tracked) {
    return tracked.standing == Standing::undecided || tracked.standing == Standing::restored;
  }

  void take_back(const nft::Plan& plan) {
    Result<nft::InstalledPorts> gone = app::withdraw_ports(
        transport_,
        {nft::owner_hash(plan.attachment), plan.chain.name, plan.netns, /*only_restored=*/true},
        notes_, plan.close_connections);
    if (!gone)
      other_problems_.push_back("cannot take back " + nft::attachment_comment(plan.attachment) +
                                ": " + gone.error().message());
    else if (!gone->empty()) {
      taken_back_.push_back(line_of(plan));
      ended_.push_back(std::move(*gone));
    }
  }

  // Finds what the kernel has of it.
  Status compare(Tracked& tracked) {
    nft::Plan& plan = *tracked.plan;
    const app::Subject subject{.owner = nft::owner_hash(plan.attachment), .chain = plan.chain.name};
    nft::Snapshot snapshot;
    const Status read = app::retried(
        [&] { return app::look(transport_, subject, nft::Section::installed, snapshot); });
    if (!read) return read;
    if (nft::is_published(plan, *snapshot.installed, tracked.inside))
      tracked.standing = Standing::published;
    else  // of what an ADD publishes from now on, nothing was seen
      plan.is_seen_changed = nft::is_whole(*snapshot.installed);
    return read;
  }

  // Its ports would have the other network's restrictions, or that one's ours.
  void refuse_those_without_chain(const std::vector<std::string>& fresh) {
    std::vector<Tracked*> items;
    std::vector<const nft::Plan*> plans;
    for (const std::string& path : fresh) {
      Tracked& tracked = tracked_.at(path);
      if (tracked.standing != Standing::undecided) continue;
      items.push_back(&tracked);
      plans.push_back(&*tracked.plan);
    }
    const std::vector<bool> without = nft::without_chain(plans);
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (!without[i]) continue;
      items[i]->standing = Standing::refused;
      items[i]->problem = "cannot restore " + nft::attachment_comment(plans[i]->attachment) +
                          ": chain " + plans[i]->chain.name +
                          " has other excludeDevices, excludeAddresses or conditions of another"
                          " network; give each of the two a chain of its own";
    }
  }

  Result<bool> publish_missing(const std::vector<std::string>& fresh) {
    refuse_those_without_chain(fresh);
    std::vector<const nft::Plan*> living;
    std::vector<const nft::Plan*> missing;
    std::vector<Tracked*> missing_items;
    for (const std::string& path : fresh) {
      Tracked& tracked = tracked_.at(path);
      if (tracked.standing != Standing::undecided) continue;
      if (const Status compared = compare(tracked); !compared) return compared.error();
      living.push_back(&*tracked.plan);
      if (tracked.standing == Standing::published) continue;
      missing.push_back(&*tracked.plan);
      missing_items.push_back(&tracked);
    }
    if (mode_ == Mode::publish)
      if (const Status mended = mend(transport_, living); !mended) return mended.error();
    const std::vector<Result<app::Published>> results = publish_many(transport_, missing, mode_);
    std::vector<const nft::Plan*> done;
    std::vector<const nft::Plan*> leading;  // as far as they lead to their containers
    std::vector<const nft::Plan*> telling;
    std::vector<nft::InstalledPorts> left;  // what gave way to them
    for (std::size_t i = 0; i < missing.size(); ++i) {
      Tracked& tracked = *missing_items[i];
      if (!results[i]) {
        tracked.standing = Standing::refused;
        tracked.problem = results[i].error().message();
        continue;
      }
      tracked.standing = results[i]->is_new ? Standing::restored : Standing::published;
      if (!results[i]->is_new) continue;
      done.push_back(missing[i]);
      leading.push_back(results[i]->part ? &*results[i]->part : missing[i]);
      if (tracked.tells_of_listeners) telling.push_back(missing[i]);
      left.insert(left.end(), results[i]->left.begin(), results[i]->left.end());
    }
    // Where `hostListeners` wants listeners refused, they are noted: the ADD was accepted, the
    // container lives on its port, and nobody would try again.
    if (!telling.empty())
      for (std::string& note : app::notes_on(app::hidden_by(telling)))
        notes_.push_back(std::move(note));
    if (mode_ == Mode::publish && !done.empty()) {
      // The last DEL of others may have taken the hairpin pairs along, before these were there.
      if (const Status mended = mend(transport_, done); !mended) return mended.error();
      for (const Result<app::Published>& result : results)
        if (result) app::effects_of_promotion(transport_, result->promoted, notes_);
      take_effect(leading, left);
    }
    return !done.empty();
  }

  void take_effect(const std::vector<const nft::Plan*>& plans,
                   const std::vector<nft::InstalledPorts>& left) {
    const std::vector<Status> effects = app::effects_of_adds(transport_, plans, left, notes_);
    for (std::size_t i = 0; i < plans.size(); ++i)
      if (!effects[i])
        other_problems_.push_back("of " + nft::attachment_comment(plans[i]->attachment) + ": " +
                                  effects[i].error().message());
  }

  static Restored::Line line_of(const nft::Plan& plan) {
    Restored::Line line{nft::attachment_comment(plan.attachment), plan.translations.size(),
                        plan.attachment};
    for (const nft::Translation& one : plan.translations) line.published.push_back(one.published);
    return line;
  }

  Restored report() {
    Restored report;
    for (const Error& problem : scan_problems_) report.problems.push_back(problem.message());
    for (auto& [path, tracked] : tracked_) {
      if (!tracked.problem.empty()) report.problems.push_back(tracked.problem);
      if (tracked.plan)
        for (const std::string& note : tracked.plan->notes) report.notes.push_back(note);
      if (tracked.standing == Standing::restored) report.restored.push_back(line_of(*tracked.plan));
      if (tracked.standing == Standing::gone) report.gone.push_back(line_of(*tracked.plan));
      report.published += tracked.standing == Standing::published ? 1 : 0;
      report.seen.push_back({path, std::move(tracked.names), tracked.standing,
                             std::move(tracked.plan), std::move(tracked.config),
                             std::move(tracked.problem), states_.at(path).config});
    }
    for (std::string& problem : other_problems_) report.problems.push_back(std::move(problem));
    for (std::string& note : notes_) report.notes.push_back(std::move(note));
    report.taken_back = std::move(taken_back_);
    return report;
  }

  Transport& transport_;
  const std::vector<Source>& sources_;
  Mode mode_;
  const Selection& selection_;
  bool settled_ = false;
  bool masquerades_ = false;
  CheckpointStates states_;
  std::map<std::string, Tracked> tracked_;  // by file
  std::vector<Error> scan_problems_;
  std::vector<std::string> other_problems_;
  std::vector<Restored::Line> taken_back_;
  std::vector<nft::InstalledPorts> ended_;  // what was taken back, whose flows are to end
  std::vector<std::string> notes_;
};

}  // namespace

bool is_inside(const nft::Plan& plan, const host::NetnsAddresses& inside) {
  return std::any_of(plan.translations.begin(), plan.translations.end(),
                     [&inside](const nft::Translation& translation) {
                       return host::has_address(inside, translation.endpoint.address);
                     });
}

Result<Restored> restore(Transport& transport, const std::vector<Source>& sources, Mode mode,
                         const Selection& selection) {
  Restorer restorer(transport, sources, mode, selection);
  Result<Restored> restored = restorer.run();
  if (!selection.is_all || (!restored && mode == Mode::dry_run)) return restored;
  if (!restored) {  // who is masqueraded needs nothing of the ports' table
    Restored without_ports;
    without_ports.has_failed = true;
    without_ports.problems.push_back(restored.error().message());
    restored = std::move(without_ports);
  }
  if (!restorer.masquerades()) {  // a saved ruleset may have brought back what masquerades nobody
    const Result<app::Masqueraded> found = app::masqueraded(transport, std::nullopt);
    if (!found) return found.error();
    if (!found->has_table) return restored;
  }
  if (const Status done = masquerade_again(transport, sources, selection.types, mode, *restored);
      !done)
    return done.error();
  return restored;
}

}  // namespace portmapper::restore
