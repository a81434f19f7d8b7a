#include "lib/app/adopt/adopt.hpp"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string>

#include "lib/app/columns.hpp"
#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/facts.hpp"
#include "lib/base/counted.hpp"
#include "lib/base/escape.hpp"

namespace portmapper::ctl {
namespace {

using adopt::Adopted;
using adopt::Entry;

std::string short_ports(const Entry& entry) {
  constexpr std::size_t kMost = 3;
  std::string text;
  std::set<std::string> told;
  for (const auto& mapping : entry.mappings) {
    const nft::PublishedPort& port = mapping.published;
    // Of both families it is the same to who reads it.
    std::string one = port.address.is_any() ? std::to_string(port.port.value()) + "/" +
                                                  std::string(to_string(port.protocol))
                                            : to_string(port);
    if (!told.insert(one).second) continue;
    if (told.size() <= kMost) text += (text.empty() ? "" : ", ") + one;
  }
  return told.size() <= kMost ? text
                              : text + " and " + std::to_string(told.size() - kMost) + " more";
}

std::string or_question_mark(const std::string& name) {
  return name.empty() ? "?" : name;
}

std::string entries_table(const std::vector<Entry>& entries, bool dry_run) {
  std::vector<app::Row> rows = {{"CONTAINER", "NETWORK", "PORTS", "RESULT"}};
  for (const Entry& entry : entries)
    rows.push_back({or_question_mark(entry.names.container_id),
                    or_question_mark(entry.names.network), short_ports(entry),
                    entry.is_taken()
                        ? (dry_run ? "would be ours" : "ours")
                        : "left with portmap: " + entry.reason + " (" + entry.where + ")"});
  return app::format_columns(std::move(rows));
}

void write_entries(json::Writer& out, const std::vector<Entry>& entries, bool taken) {
  out.begin_array();
  for (const Entry& entry : entries) {
    if (entry.is_taken() != taken) continue;
    out.begin_object();
    if (!entry.names.container_id.empty()) out.member("containerID", entry.names.container_id);
    if (!entry.names.network.empty()) out.member("network", entry.names.network);
    if (!entry.names.ifname.empty()) out.member("interface", entry.names.ifname);
    out.key("ports").begin_array();
    for (const auto& mapping : entry.mappings)
      out.begin_object()
          .member("host", to_string(mapping.published))
          .member("container", to_string(mapping.endpoint))
          .end_object();
    out.end_array().member("where", entry.where);
    if (!taken) out.member("reason", entry.reason);
    out.end_object();
  }
  out.end_array();
}

std::string json_of(const Adopted& adopted, bool dry_run) {
  json::Writer out;
  out.begin_object().member("dryRun", dry_run);
  write_entries(out.key("adopted"), adopted.entries, true);
  write_entries(out.key("left"), adopted.entries, false);
  out.member("removedRules", static_cast<std::int64_t>(adopted.removed));
  write_texts(out.key("notes"), adopted.notes);
  std::vector<std::string> problems = adopted.problems;
  if (!adopted.not_removed.empty()) problems.push_back(adopted.not_removed);
  write_texts(out.key("problems"), problems);
  out.end_object();
  return std::move(out).text() + "\n";
}

app::Outcome report(const Adopted& adopted, bool dry_run) {
  app::Outcome outcome;
  const auto taken =
      static_cast<std::size_t>(std::count_if(adopted.entries.begin(), adopted.entries.end(),
                                             [](const Entry& entry) { return entry.is_taken(); }));
  const std::size_t left = adopted.entries.size() - taken;
  if (adopted.entries.empty()) {
    outcome.out = "portmap has no rules here\n";
  } else {
    outcome.out = entries_table(adopted.entries, dry_run);
    outcome.out += (dry_run ? "would take over " : "took over ") + counted(taken, "container") +
                   (dry_run ? ", would leave " : ", left ") + std::to_string(left) +
                   " with portmap";
    if (!dry_run && adopted.not_removed.empty() && taken != 0)
      outcome.out += "; removed " + counted(adopted.removed, "rule") + " of portmap's";
    outcome.out += "\n";
  }
  outcome.log = log_lines(adopted.notes) + log_lines(adopted.problems);
  if (!adopted.not_removed.empty())
    outcome.log += log_lines(
        {"what was taken over is published by both, to the same places: " + adopted.not_removed});
  if (left != 0 || !adopted.problems.empty() || !adopted.not_removed.empty())
    outcome.status = kProblem;
  return outcome;
}

}  // namespace

app::Outcome adopt(const Arguments& arguments) {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return could_not_look(netlink.error());
  const std::optional<std::string> from = arguments.value("--from");
  const bool dry_run = arguments.has("--dry-run");
  const Result<Adopted> adopted = adopt::adopt(
      *netlink,
      {.sources = from ? std::vector{restore::source_of(*from)} : restore::default_sources(),
       .network_directory = arguments.value("--config"),
       .cni_path = std::getenv("CNI_PATH"),
       .dry_run = dry_run});
  if (!adopted) return could_not_look(adopted.error());
  app::Outcome outcome = report(*adopted, dry_run);
  if (!arguments.has("--json")) return outcome;
  outcome.out = json_of(*adopted, dry_run);
  outcome.log.clear();
  return outcome;
}

}  // namespace portmapper::ctl
