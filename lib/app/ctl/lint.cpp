#include "lib/config/lint/lint.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/input_file.hpp"
#include "lib/app/ctl/network_files.hpp"
#include "lib/cni/plugin_input.hpp"
#include "lib/delegate/lookup.hpp"
#include "lib/host/own_plugin.hpp"
#include "lib/host/sysctl.hpp"

namespace portmapper::ctl {
namespace {

bool is_in_path(const std::string& program) {
  const char* const path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/sbin:/usr/bin:/sbin:/bin";
  while (!rest.empty()) {
    const std::string_view directory = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(directory.size() + 1, rest.size()));
    if (access((std::string(directory) + "/" + program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

lint::Facts facts_of_host() {
  const auto is_on = [](const char* name) { return host::read_sysctl(name).value_or(0) != 0; };
  const char* const plugins = std::getenv("CNI_PATH");
  return {
      .bridge_netfilter = is_on("net/bridge/bridge-nf-call-iptables") ||
                          is_on("net/bridge/bridge-nf-call-ip6tables"),
      .has_iptables = is_in_path("iptables"),
      .has_plugin = plugins == nullptr || delegate::find_plugin(cni::kOurType, plugins),
      .portmap_is_ours = host::find_portmap(plugins).whose == host::PortmapProgram::Whose::ours};
}

}  // namespace

app::Outcome lint(const Arguments& arguments) {
  std::vector<std::string> names = arguments.words;
  if (names.empty()) {
    Result<std::vector<std::string>> found = network_files(kNetworkDirectory);
    if (!found) return could_not_look(found.error());
    names = *std::move(found);
  }
  app::Outcome outcome;
  std::vector<lint::Source> sources;
  for (const std::string& name : names) {
    Result<std::string> text = read_input_file(name);
    if (text) {
      sources.push_back({name == "-" ? "standard input" : name, *std::move(text)});
      continue;
    }
    // The others are looked at all the same.
    outcome.log += failure(text.error()).log;
    outcome.status = kCouldNotLook;
  }
  const lint::Report report = lint::lint(sources, facts_of_host());
  outcome.out = arguments.has("--json") ? lint::format_json(report) : lint::format(report);
  if (outcome.status == 0 && !report.findings.empty()) outcome.status = kProblem;
  return outcome;
}

}  // namespace portmapper::ctl
