// Plugin: calls the plugin as a runtime does.
//
//   Plugin plugin{PLUGIN};
//   std::string config = chained_config("web", lab.previous_result("abc"),
//       R"([{"hostPort":8080,"containerPort":80,"protocol":"tcp"}])", R"("chain":"MESOS-WEB")");
//   RunResult added = plugin.call(lab, lab.host(), "ADD", "abc", config);
//
// It runs in the network namespace `ns` with CNI_COMMAND, CNI_CONTAINERID (the container's name),
// CNI_NETNS (/run/netns/<its namespace>; where there is none, the test's own), CNI_IFNAME=eth0,
// CNI_PATH and PATH, and nothing else. `extra` adds or replaces variables ("CNI_IFNAME=eth1"); a bare name
// ("CNI_NETNS") removes one. Calls from several threads at once are fine.
// Errors: those of run(). Source: CNI SPEC.md section 2 "Parameters".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/process.hpp"

namespace portmapper::test {

class Lab;

struct Plugin {
  std::string path;
  std::string cni_path = "/usr/lib/cni";

  [[nodiscard]] RunResult call(const Lab& lab, const std::string& ns, const std::string& command,
                               const std::string& container, const std::string& input,
                               const std::vector<std::string>& extra = {}) const;
};

// A portmap-like configuration. `port_mappings` is a JSON array; `previous_result` a JSON object or
// empty for none; `more` further members ("\"snat\":false") or empty. Without one of them `portWait`
// is 0: a conflict is answered at once.
std::string chained_config(std::string_view network, std::string_view previous_result,
                           std::string_view port_mappings, std::string_view more = "",
                           std::string_view version = "1.0.0");

}  // namespace portmapper::test
