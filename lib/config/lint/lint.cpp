#include "lib/config/lint/lint.hpp"

#include <algorithm>

#include "lib/base/counted.hpp"
#include "lib/base/escape.hpp"
#include "lib/cni/plugin_input.hpp"
#include "lib/config/lint/network.hpp"
#include "lib/json/writer.hpp"

namespace portmapper::lint {
namespace {

void check_ours(Network& network, const Facts& facts, std::vector<NamedChain>& chains,
                Report& report) {
  const std::vector<json::Value>& plugins = network.plugins();
  std::size_t last = plugins.size();
  for (std::size_t i = 0; i < plugins.size(); ++i) {
    if (!is_ours(plugins[i], facts)) continue;
    last = i;
    check_keys(network, plugins[i]);
    check_ip_masq(network, plugins[i]);
    check_capabilities(network, plugins[i]);
    check_values(network, plugins[i], chains);
  }
  if (last == plugins.size()) return;
  ++report.ours;
  check_neighbours(network, last, facts);
  check_makers(network, last, facts);
  const bool has_own_name = plugins[last].member("type").text() == cni::kOurType;
  if (has_own_name && !facts.has_plugin)
    network.problem(plugins[last], "program",
                    "no directory of CNI_PATH has an executable file nft-port-mapper",
                    "the runtime cannot run it, and no container of this network starts",
                    "install it there, or set CNI_PATH as the runtime has it");
}

void lint_one(const Source& source, const Facts& facts, std::vector<NamedChain>& chains,
              Report& report) {
  std::size_t place = 0;
  const Result<json::Document> document = json::Document::parse(source.text, "it", &place);
  if (!document) {
    Finding finding{.rule = "syntax",
                    .file = source.name,
                    .what = document.error().message(),
                    .why = "runtimes and plugins refuse such a text, or each reads something else",
                    .fix = "correct it at or shortly before this place"};
    set_place(source.text, place, finding);
    report.findings.push_back(std::move(finding));
    return;
  }
  Network network(source, document->root(), report.findings);
  check_form(network);
  check_ours(network, facts, chains, report);
}

std::string place_of(const Finding& finding) {
  return finding.file + ":" + std::to_string(finding.line) + ":" + std::to_string(finding.column);
}

std::string_view word_of(Finding::Level level) {
  return level == Finding::Level::problem ? "problem" : "note";
}

}  // namespace

Report lint(const std::vector<Source>& sources, const Facts& facts) {
  Report report{.files = sources.size()};
  std::vector<NamedChain> chains;
  for (const Source& source : sources) {
    const std::size_t first = report.findings.size();
    lint_one(source, facts, chains, report);
    std::stable_sort(report.findings.begin() + static_cast<std::ptrdiff_t>(first),
                     report.findings.end(), [](const Finding& a, const Finding& b) {
                       return a.line != b.line ? a.line < b.line : a.column < b.column;
                     });
  }
  return report;
}

std::string format(const Report& report) {
  std::string text;
  std::size_t problems = 0;
  for (const Finding& finding : report.findings) {
    if (finding.level == Finding::Level::problem) ++problems;
    text += printable(place_of(finding)) + ": " + std::string(word_of(finding.level)) + ": " +
            printable(finding.what) + "\n    why: " + printable(finding.why) +
            "\n    fix: " + printable(finding.fix) + "\n";
  }
  text += counted_or_no(problems, "problem") + " and " +
          counted_or_no(report.findings.size() - problems, "note") + " in " +
          counted_or_no(report.files, "file");
  if (report.ours != report.files)
    text += ", " + std::to_string(report.ours) + " of them with nft-port-mapper";
  return text + "\n";
}

std::string format_json(const Report& report) {
  json::Writer out;
  out.begin_object()
      .member("files", static_cast<std::int64_t>(report.files))
      .member("ours", static_cast<std::int64_t>(report.ours))
      .key("findings")
      .begin_array();
  for (const Finding& finding : report.findings)
    out.begin_object()
        .member("level", word_of(finding.level))
        .member("rule", finding.rule)
        .member("file", finding.file)
        .member("line", static_cast<std::int64_t>(finding.line))
        .member("column", static_cast<std::int64_t>(finding.column))
        .member("path", finding.path)
        .member("what", finding.what)
        .member("why", finding.why)
        .member("fix", finding.fix)
        .end_object();
  out.end_array().end_object();
  return std::move(out).text() + "\n";
}

}  // namespace portmapper::lint
