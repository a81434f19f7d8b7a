// Watching: keeps the table as it is recorded, whoever changes it, until a signal comes.
//
//   Result<std::unique_ptr<Watching>> watching = Watching::begin({.metrics_file = "/run/ports.prom"});
//   Watching::Part part = (*watching)->go_on();  // until there is something to print
//   use(part.outcome.log, part.is_last);
//
// watch::Vigil decides; this listens, looks, repairs and writes. While it repairs or writes it hears
// nothing, and learns of what happened meanwhile right after it: a repair that published something takes a
// second, in which it makes sure that no DEL was under way. Errors: could_not_look where it cannot listen or
// read at all; what cannot be repaired, and a metrics file that cannot be written, are lines of the log. Does not promise: to see what changes and
// changes back before it looks. Source: packaging/doc/monitoring.md, "nft-port-mapperctl watch".
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "lib/app/ctl/held_signals.hpp"
#include "lib/app/ctl/loopback_state.hpp"
#include "lib/app/ctl/table_contents.hpp"
#include "lib/app/metrics/figures.hpp"
#include "lib/app/outcome.hpp"
#include "lib/app/watch/vigil.hpp"
#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"
#include "nft/change.hpp"
#include "nft/decide.hpp"

namespace portmapper::ctl {

struct WatchWish {
  std::optional<std::string> metrics_file{};
  metrics::PerPort per_port = metrics::PerPort::yes;
};

class Watching {
 public:
  static Result<std::unique_ptr<Watching>> begin(WatchWish wish);

  struct Part {
    app::Outcome outcome{};
    bool is_last = false;
  };
  Part go_on();
  // Nothing, or why the file cannot be written; of one reason, only the first time.
  std::string keep_metrics();

 private:
  Watching(WatchWish wish, Netlink events, Netlink transport, Netlink route);

  // What a repair published again, for as long as a DEL may take: its record may be one of those that
  // outlive their attachment.
  struct Published {
    nft::Withdrawal withdrawal{};  // of ports; without a chain there were none
    bool is_masqueraded = false;
    std::string comment{};
    bool close_connections = true;
    watch::Time until{};
    bool is_told = false;  // that it could not be taken back
  };

  [[nodiscard]] watch::Time next() const;
  Status listen(watch::Time deadline);
  Status listen_all(watch::Time deadline);
  void look_at_host();
  std::string take_back();
  bool withdraw(Published& published, std::string& log);
  Result<TableContents> read();
  Result<watch::Seen> look(bool with_records);
  Part look_and_repair();
  struct Done {
    std::string what{};
    std::string problems{};   // lines, with what else is to be told
    bool is_nothing = false;  // there was no need: a DEL has ended meanwhile
  };
  Done repair(const watch::Things& things, const watch::Seen& found);
  // Whether nothing was refused; else `done` says why.
  bool restore_ports(const watch::Things& things, const watch::Seen& found, Done& done);
  // Whether there was something to mend.
  bool mend_table(Done& done);
  void repair_once_more(const watch::Seen& after);
  Result<watch::Seen> look_after_repair();
  std::string tell_problems(const std::string& problems);
  std::string tell_left(const watch::Things& left);
  Part tell(const watch::Things& things, const Done& done, const watch::Seen& after);
  Status write_metrics();

  HeldSignals signals_;
  WatchWish wish_;
  Netlink events_;
  Netlink transport_;
  Netlink route_;
  nft::ChangeReader changes_{};
  watch::Vigil vigil_;
  bool had_ports_ = false;  // the table, when it was looked at
  std::optional<bool> had_table_{};
  std::set<std::string> devices_{};
  std::set<std::string> recorded_{};  // in localnet-devices, of those that are needed
  LoopbackState loopback_{};
  watch::Time next_host_look_{};
  watch::Time next_metrics_{};
  watch::Time soonest_metrics_{};
  metrics::WatchFigures figures_{};
  std::map<std::string, Published> published_{};  // by the path of the record
  std::string told_{};                            // of the metrics file
  std::set<std::string> told_problems_{};         // of the last repair
  watch::Things told_left_{};                     // what it could not repair
};

}  // namespace portmapper::ctl
