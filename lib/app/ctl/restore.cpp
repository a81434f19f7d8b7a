#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/facts.hpp"
#include "lib/app/ctl/restoring.hpp"
#include "lib/base/counted.hpp"
#include "lib/base/escape.hpp"

namespace portmapper::ctl {
namespace {

std::string lines(const std::string& what, const std::vector<restore::Restored::Line>& list,
                  const std::string& why) {
  std::string text;
  for (const restore::Restored::Line& line : list)
    text += what + " " + printable(line.attachment) + " (" + counted(line.ports, "port") + ")" +
            why + "\n";
  return text;
}

void write_lines(json::Writer& out, std::string_view key,
                 const std::vector<restore::Restored::Line>& list) {
  out.key(key).begin_array();
  for (const restore::Restored::Line& line : list) {
    out.begin_object();
    write_attachment(out, line.names);
    out.member("ports", static_cast<std::int64_t>(line.ports)).end_object();
  }
  out.end_array();
}

std::string json_of(const restore::Restored& restored, bool dry_run) {
  json::Writer out;
  out.begin_object().member("dryRun", dry_run);
  write_lines(out, "restored", restored.restored);
  write_lines(out, "takenBack", restored.taken_back);
  out.key("masqueraded").begin_array();
  for (const restore::Restored::Line& line : restored.masqueraded) {
    out.begin_object();
    write_attachment(out, line.names);
    out.end_object();
  }
  out.end_array();
  write_lines(out, "gone", restored.gone);
  out.member("published", static_cast<std::int64_t>(restored.published)).key("notes");
  write_texts(out, restored.notes);
  write_texts(out.key("problems"), restored.problems);
  out.end_object();
  return std::move(out).text() + "\n";
}

app::Outcome report(const restore::Restored& restored, bool dry_run) {
  app::Outcome outcome;
  outcome.out += lines(dry_run ? "would restore" : "restored", restored.restored, "");
  for (const restore::Restored::Line& line : restored.masqueraded)
    outcome.out +=
        (dry_run ? "would masquerade " : "masqueraded ") + printable(line.attachment) + "\n";
  outcome.out += lines("took back", restored.taken_back, ": it was deleted meanwhile");
  if (dry_run) outcome.out += lines("would skip", restored.gone, ": it is no longer alive");
  outcome.out += (dry_run ? "would restore " : "restored ") +
                 counted(restored.restored.size(), "attachment") + "; " +
                 std::to_string(restored.published) + " published already, " +
                 std::to_string(restored.gone.size()) + " gone\n";
  for (const std::string& note : restored.notes)
    outcome.log += "nft-port-mapperctl: " + printable(note) + "\n";
  for (const std::string& problem : restored.problems)
    outcome.log += "nft-port-mapperctl: " + printable(problem) + "\n";
  outcome.status = restored.problems.empty() ? 0 : kProblem;
  return outcome;
}

}  // namespace

app::Outcome restore(const Arguments& arguments) {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return could_not_look(netlink.error());
  const std::optional<std::string> from = arguments.value("--from");
  const bool dry_run = arguments.has("--dry-run");
  const std::vector<restore::Source> sources =
      from ? std::vector{restore::source_of(*from)} : restore::default_sources();
  const Result<restore::Restored> restored =
      restore_all(*netlink, sources, dry_run ? restore::Mode::dry_run : restore::Mode::publish);
  if (!restored) return could_not_look(restored.error());
  app::Outcome outcome = report(*restored, dry_run);
  if (!arguments.has("--json")) return outcome;
  outcome.out = json_of(*restored, dry_run);
  outcome.log.clear();
  return outcome;
}

}  // namespace portmapper::ctl
