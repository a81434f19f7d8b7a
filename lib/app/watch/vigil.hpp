// Vigil: decides when to look at the table, and what of that which is found gets repaired.
//
//   const Time now = std::chrono::steady_clock::now();
//   Vigil vigil(now);
//   vigil.changed(now, Hand::others);                          // a batch changed our table
//   if (now < vigil.look_at()) use(vigil.wants_records());     // wait, and look
//   const Things things = vigil.judge(now, {.begin = now, .damage = {"chain output is missing"}});
//   if (!things.empty()) use(vigil.repaired(now, things, {}).fight);  // behind the repair
//
// It has no clock and no socket: times come in, and only their differences count. What is found is named
// by a line of text, and two lines that are alike are the same thing.
//
// A look follows when the table has been quiet for a moment, and soon even if it is not. Findings count if
// nothing changed while they were read, or if each look of some seconds has them, while others change the
// table all the time. What is of the host (a sysctl, a route) our programs set behind their batch, so it
// counts if a later look finds it, too, and nothing changed in between. An attachment that lives and has no
// ports counts at once if another hand changed the table, after a while if nobody knows who did, and not at
// all if our own programs did: the runtime's record outlives the DEL. What a repair does not mend is left
// alone until it was gone, or another hand changes the table again. Three repairs of one thing in a minute
// are a fight, which the vigil gives up. A repair into which another hand came is none of the three: a
// firewall that starts again flushes more than once. It is made again, though not for ever. Errors: none.
// Does not promise: to find what comes and goes faster than it can be read. Source: packaging/doc/monitoring.md, "How it decides".
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace portmapper::watch {

using Time = std::chrono::steady_clock::time_point;
using Things = std::set<std::string>;

// Who changed the table; what is unknown, such as after lost messages, lies between.
enum class Hand : std::uint8_t { ours, unknown, others };

// What one look found.
struct Seen {
  Time begin{};                     // of reading
  bool is_whole = true;             // whether all could be read
  Things damage{};                  // of the table
  Things of_host{};                 // sysctls and routes
  std::optional<Things> missing{};  // attachments on record, where the records were read

  [[nodiscard]] bool has(const std::string& thing) const {
    return damage.contains(thing) || of_host.contains(thing) ||
           (missing && missing->contains(thing));
  }
};

// Whether a repair changed anything. Where there was no need, since a DEL has ended, it is no repair.
enum class Work : std::uint8_t { none, some };

struct Repaired {
  Things mended{};
  Things left{};                       // what was not mended; it is left alone from now on
  std::optional<std::string> fight{};  // what is repaired too often
  std::size_t times = 0;               // how often
};

class Vigil {
 public:
  static constexpr std::chrono::milliseconds kQuiet{50};
  static constexpr std::chrono::milliseconds kSoon{250};         // if others changed it
  static constexpr std::chrono::milliseconds kLater{1000};       // if our programs did
  static constexpr std::chrono::milliseconds kHostSettles{300};  // from one look to the next
  static constexpr std::chrono::milliseconds kLasts{3000};       // longer than a DEL
  static constexpr std::chrono::seconds kWhile{60};
  static constexpr std::size_t kMostRepairs = 3;
  static constexpr std::size_t kMostTries = 12;  // with those that another hand interrupted

  // What happened before it began, nobody knows.
  explicit Vigil(Time now) { changed(now, Hand::unknown); }

  void changed(Time now, Hand hand);
  void host_changed(Time now);

  [[nodiscard]] Time look_at() const;
  // Whether a look at the runtimes' records, which costs the most, would tell anything.
  [[nodiscard]] bool wants_records() const;

  // What is to be repaired at once.
  Things judge(Time now, const Seen& seen);
  // `after`: a look behind the repair, with the records, once `changed` was told of all before it.
  Repaired repaired(Time now, const Things& things, const Seen& after, Work work = Work::some);

 private:
  Things judge_steady(Time now, const Seen& seen);
  Things judge_unsteady(Time now, const Seen& seen);
  Things confirmed(Time now, const Things& found, std::chrono::milliseconds lasting,
                   std::map<std::string, Time>& since);
  [[nodiscard]] bool was_disturbed(const Things& things, const Seen& after) const;
  // How often, if that is too often; else 0.
  std::size_t count_repair(Time now, const std::string& thing, bool is_finished);
  void look_again(Time at) { again_ = again_ ? std::min(*again_, at) : at; }

  std::optional<Time> first_{};                 // change since the last look
  Time last_{};                                 // change of the table
  std::optional<Time> again_{};                 // when to look without one
  Time not_before_{};                           // where nobody else's hand was seen
  Hand hand_ = Hand::ours;                      // since the last look that counted
  std::map<std::string, Time> damage_since_{};  // in looks that were not steady
  std::map<std::string, Time> host_since_{};
  std::map<std::string, Time> missing_since_{};
  Things hopeless_{};
  struct Tries {
    std::vector<Time> finished{};
    std::vector<Time> all{};
  };
  std::map<std::string, Tries> tries_{};
};

}  // namespace portmapper::watch
