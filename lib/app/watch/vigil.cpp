#include "lib/app/watch/vigil.hpp"

#include <algorithm>
#include <utility>

namespace portmapper::watch {
namespace {

// So that a look at a large table, after each of many changes, takes no more than a quarter of the time.
constexpr int kPause = 3;

}  // namespace

void Vigil::changed(Time now, Hand hand) {
  if (!first_) first_ = now;
  last_ = now;
  hand_ = std::max(hand_, hand);
}

void Vigil::host_changed(Time now) {
  look_again(now);
}

Time Vigil::look_at() const {
  Time at = again_.value_or(Time::max());
  if (first_) {
    const auto most = hand_ == Hand::ours ? kLater : kSoon;
    at = std::min({at, last_ + kQuiet, *first_ + most});
  }
  return hand_ == Hand::others || at == Time::max() ? at : std::max(at, not_before_);
}

bool Vigil::wants_records() const {
  return hand_ != Hand::ours || !missing_since_.empty();
}

// What lasts from now on for so long, or has lasted. Whatever is not there any more begins anew.
Things Vigil::confirmed(Time now, const Things& found, std::chrono::milliseconds lasting,
                        std::map<std::string, Time>& since) {
  std::erase_if(since, [&found](const auto& one) { return !found.contains(one.first); });
  Things last;
  for (const std::string& thing : found) {
    const Time first = since.try_emplace(thing, now).first->second;
    if (now >= first + lasting)
      last.insert(thing);
    else
      look_again(first + lasting);
  }
  return last;
}

Things Vigil::judge_unsteady(Time now, const Seen& seen) {
  host_since_.clear();  // what our programs do behind a batch has not been done yet
  first_.reset();
  look_again(now + (seen.is_whole ? kQuiet : kSoon));
  if (!seen.is_whole || hand_ != Hand::others) return {};
  Things things = confirmed(now, seen.damage, kLasts, damage_since_);
  if (seen.missing) things.merge(confirmed(now, *seen.missing, kLasts, missing_since_));
  return things;
}

Things Vigil::judge_steady(Time now, const Seen& seen) {
  first_.reset();
  damage_since_.clear();
  Things things = seen.damage;
  std::erase_if(host_since_, [this](const auto& one) { return last_ > one.second; });
  things.merge(confirmed(now, seen.of_host, kHostSettles, host_since_));
  const Hand hand = std::exchange(hand_, Hand::ours);
  if (!seen.missing) return things;
  if (hand == Hand::others) {
    things.insert(seen.missing->begin(), seen.missing->end());
    missing_since_.clear();
    return things;
  }
  Things missing = *seen.missing;
  if (hand == Hand::ours)  // those alone that were missing before
    std::erase_if(missing, [this](const auto& one) { return !missing_since_.contains(one); });
  things.merge(confirmed(now, missing, kLasts, missing_since_));
  return things;
}

Things Vigil::judge(Time now, const Seen& seen) {
  not_before_ = now + (now - seen.begin) * kPause;
  if (again_ && *again_ <= now) again_.reset();
  if (hand_ == Hand::others) hopeless_.clear();
  std::erase_if(hopeless_, [&seen](const std::string& thing) {
    return seen.missing && !seen.has(thing);  // without the records nobody knows
  });
  const bool is_steady = seen.is_whole && (!first_ || last_ <= seen.begin);
  Things things = is_steady ? judge_steady(now, seen) : judge_unsteady(now, seen);
  for (const std::string& thing : hopeless_) things.erase(thing);
  return things;
}

// Whether another hand was in the repair: it damaged what was not to be repaired, too. What was to be
// repaired may then be hidden, as a rule is whose table is gone.
bool Vigil::was_disturbed(const Things& things, const Seen& after) const {
  if (hand_ == Hand::ours) return false;
  const auto is_new = [&](const std::string& thing) {
    return !things.contains(thing) && !hopeless_.contains(thing);
  };
  return std::any_of(after.damage.begin(), after.damage.end(), is_new) ||
         (after.missing && std::any_of(after.missing->begin(), after.missing->end(), is_new));
}

std::size_t Vigil::count_repair(Time now, const std::string& thing, bool is_finished) {
  Tries& tries = tries_[thing];
  (is_finished ? tries.finished : tries.all).push_back(now);
  if (is_finished) tries.all.push_back(now);
  for (std::vector<Time>* times : {&tries.finished, &tries.all})
    std::erase_if(*times, [now](Time time) { return now - time >= kWhile; });
  if (tries.finished.size() >= kMostRepairs) return tries.finished.size();
  return tries.all.size() >= kMostTries ? tries.all.size() : 0;
}

Repaired Vigil::repaired(Time now, const Things& things, const Seen& after, Work work) {
  Repaired done;
  const bool was_disturbed = this->was_disturbed(things, after);
  for (const std::string& thing : things) {
    const bool is_there = after.has(thing);
    if (is_there && hand_ == Hand::ours) {
      done.left.insert(thing);
      hopeless_.insert(thing);
      continue;
    }
    const bool is_finished = !is_there && !was_disturbed;
    if (is_finished && work == Work::none) continue;
    if (is_finished) done.mended.insert(thing);
    const std::size_t times = count_repair(now, thing, is_finished);
    if (times == 0 || done.fight) continue;
    done.fight = thing;
    done.times = times;
  }
  std::erase_if(tries_, [now](const auto& one) { return now - one.second.all.back() >= kWhile; });
  return done;
}

}  // namespace portmapper::watch
