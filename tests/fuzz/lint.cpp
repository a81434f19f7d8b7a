// Configuration files of an operator: the facts of the host in the first byte, then the files, each behind
// a byte 0x1e but the first. What lint says is printable and in its place; what render makes of a list is
// a configuration.
#include "lib/config/lint/lint.hpp"

#include "lib/app/ctl/render_input.hpp"
#include "lib/config/net_config.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace portmapper;
using namespace portmapper::fuzz;

namespace {

std::vector<lint::Source> sources_of(std::string_view text) {
  constexpr std::array kNames = {"a.conflist", "b.conf", "standard input"};
  std::vector<lint::Source> sources;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find('\x1e', start), text.size());
    sources.push_back(
        {kNames[sources.size() % kNames.size()], std::string(text.substr(start, end - start))});
    start = end + 1;
  }
  return sources;
}

void check_place(const lint::Finding& finding, const std::vector<lint::Source>& sources) {
  demand(finding.line > 0 && finding.column > 0, "a place counts from 1");
  const auto has_line = [&finding](const lint::Source& source) {
    const auto lines = std::count(source.text.begin(), source.text.end(), '\n') + 1;
    return source.name == finding.file && static_cast<std::size_t>(lines) >= finding.line;
  };
  demand(std::any_of(sources.begin(), sources.end(), has_line), "the file has the line",
         finding.what);
}

void check_rendered(const std::string& text) {
  const Result<ctl::RenderInput> input = ctl::render_input(text, {});
  if (!input) return demand_error(input.error());
  for (const std::string& note : input->notes) demand_printable(note);
  if (input->config == text) return;
  demand_json(input->config);
  const auto conf = config::parse_net_conf(input->config, cni::Command::add);
  if (!conf) demand_error(conf.error());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::vector<lint::Source> sources = sources_of(text_of(data + 1, size - 1));
  const lint::Report report =
      lint::lint(sources, {(data[0] & 1U) != 0, (data[0] & 2U) != 0, (data[0] & 4U) != 0});
  demand_printable(lint::format(report), true);
  demand_json(lint::format_json(report));
  for (const lint::Finding& finding : report.findings) {
    check_place(finding, sources);
    demand(!finding.rule.empty() && !finding.why.empty() && !finding.fix.empty(),
           "a finding has a rule, a reason and what helps", finding.what);
    demand_printable(finding.what);
  }
  for (const lint::Source& source : sources) check_rendered(source.text);
  return 0;
}
