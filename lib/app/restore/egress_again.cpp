#include "lib/app/restore/egress_again.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "lib/app/egress.hpp"
#include "lib/app/restore/plan_again.hpp"
#include "lib/host/namespace_look.hpp"
#include "lib/host/netns.hpp"
#include "lib/host/netns_addresses.hpp"

namespace portmapper::restore {
namespace {

constexpr std::chrono::milliseconds kSettleAgain{1000};

using PlanOfFile = std::pair<std::string, nft::Plan>;

// What the records want to be masqueraded. What cannot be read, restore has told already.
struct Wanted {
  std::vector<PlanOfFile> living;  // oldest first
  std::set<nft::OwnerHash> ended;  // whose namespace is another's, or has another's address
  std::set<std::string>
      unknown;  // files of which nobody knows: they, or their namespaces, cannot be read
};

bool has_source_inside(const nft::Plan& plan, const host::NetnsAddresses& inside) {
  return std::any_of(plan.egress.begin(), plan.egress.end(), [&](const nft::EgressSource& source) {
    return host::has_address(inside, source.address);
  });
}

Wanted wanted_by(const std::vector<Source>& sources, const TypesOf& types) {
  std::vector<PlanOfFile> plans;
  std::set<std::string> namespaces;
  Wanted wanted;
  for (const Reading& reading : scan_checkpoints(sources, {}, types).readings) {
    if (!reading.cached) wanted.unknown.insert(reading.path);
    if (!reading.cached || !*reading.cached) continue;
    const CachedAttachment& cached = **reading.cached;
    Result<nft::Plan> plan =
        plan_again(cached, config::parse_net_conf(cached.config, cni::Command::add));
    if (!plan) wanted.unknown.insert(reading.path);
    if (!plan || plan->egress.empty()) continue;
    namespaces.insert(plan->netns.path);
    plans.emplace_back(reading.path, std::move(*plan));
  }
  const std::map<std::string, host::NetnsAddresses> inside = host::read_netns_addresses(namespaces);
  for (auto& [path, plan] : plans) {
    const NetworkNamespace& seen = inside.at(plan.netns.path).netns;
    plan.netns = {plan.netns.path, seen.device, seen.inode,
                  seen.id,         seen.cookie, plan.netns.observer};
  }
  for (PlanOfFile& item : plans) {
    const host::NetnsAddresses& place = inside.at(item.second.netns.path);
    if (place.error)
      wanted.unknown.insert(item.first);
    else if (has_source_inside(item.second, place))
      wanted.living.push_back(std::move(item));
    else
      wanted.ended.insert(nft::owner_hash(item.second.attachment));
  }
  return wanted;
}

Restored::Line line_of(const PlanOfFile& item) {
  const nft::Plan& plan = item.second;
  return {nft::attachment_comment(plan.attachment), 0, plan.attachment, {}, item.first, plan.netns};
}

// Of who was added again meanwhile, with other addresses, the newer record counts: whichever of the two was
// masqueraded last, it is this one from now on.
Status follow(Transport& transport, const nft::Plan& now, nft::Plan& before) {
  if (now.egress == before.egress) return {};
  before = now;
  const Result<app::EgressView> view = app::look_at_egress(transport);
  if (!view) return view.error();
  return app::check_masquerade(*view, now).empty() ? Status() : app::masquerade(transport, now);
}

void take_back_ended(Transport& transport, const std::vector<Source>& sources, const TypesOf& types,
                     std::vector<PlanOfFile>& begun, Restored& restored) {
  const Wanted now = wanted_by(sources, types);
  std::erase_if(begun, [&](auto& item) {
    if (now.unknown.contains(item.first)) return false;
    nft::Plan& plan = item.second;
    const auto still =
        std::find_if(now.living.begin(), now.living.end(),
                     [&item](const PlanOfFile& one) { return one.first == item.first; });
    if (still != now.living.end() && still->second.netns == plan.netns) {
      if (const Status done = follow(transport, still->second, plan); !done)
        restored.problems.push_back(done.error().message());
      return false;
    }
    const Result<bool> gone =
        app::take_back_masquerade(transport, nft::owner_hash(plan.attachment), plan.netns);
    if (!gone)
      restored.problems.push_back("cannot take back " + nft::attachment_comment(plan.attachment) +
                                  ": " + gone.error().message());
    return true;
  });
}

Status end_left_over(Transport& transport, const Wanted& wanted, Mode mode, Restored& restored) {
  const bool is_dry_run = mode == Mode::dry_run;
  // From elsewhere a record's path tells nothing.
  const bool can_tell = host::is_initial(host::observe());
  const Result<app::Unmasqueraded> left = app::unmasquerade_left_over(
      transport, can_tell ? wanted.ended : std::set<nft::OwnerHash>(), is_dry_run);
  if (!left) return left.error();
  for (const std::string& comment : left->ended) {
    restored.notes.push_back(
        (is_dry_run ? "would end the masquerading of " : "ended the masquerading of ") + comment +
        ", which a saved ruleset brought back: its container is gone");
    restored.ended.push_back(restored.notes.back());
  }
  for (const Error& error : left->failures) restored.problems.push_back(error.message());
  return {};
}

}  // namespace

Status masquerade_again(Transport& transport, const std::vector<Source>& sources,
                        const TypesOf& types, Mode mode, Restored& restored) {
  const Wanted wanted = wanted_by(sources, types);
  if (const Status ended = end_left_over(transport, wanted, mode, restored); !ended) return ended;
  std::vector<PlanOfFile> begun;
  std::set<IpAddress> led;              // anew: who was added later leads them again
  std::optional<app::EgressView> view;  // until something is changed
  for (const auto& [path, plan] : wanted.living) {
    if (!view) {
      Result<app::EgressView> now = app::look_at_egress(transport);
      if (!now) return now.error();
      view = *std::move(now);
    }
    const bool is_led_anew =
        std::any_of(plan.egress.begin(), plan.egress.end(),
                    [&led](const nft::EgressSource& one) { return led.contains(one.address); });
    if (!is_led_anew && app::check_masquerade(*view, plan).empty()) continue;
    for (const nft::EgressSource& one : plan.egress) led.insert(one.address);
    if (mode == Mode::publish) view.reset();
    if (mode == Mode::publish)
      if (const Status done = app::masquerade(transport, plan); !done) {
        restored.problems.push_back("cannot masquerade " +
                                    nft::attachment_comment(plan.attachment) + ": " +
                                    done.error().message());
        continue;
      }
    begun.emplace_back(path, plan);
  }
  if (mode == Mode::publish && !begun.empty()) {
    take_back_ended(transport, sources, types, begun, restored);
    std::this_thread::sleep_for(kSettleAgain);
    take_back_ended(transport, sources, types, begun, restored);
  }
  for (const PlanOfFile& item : begun) restored.masqueraded.push_back(line_of(item));
  return {};
}

}  // namespace portmapper::restore
