#include "tests/support/plugin.hpp"

#include <unistd.h>

#include <algorithm>

#include "tests/support/lab.hpp"

namespace portmapper::test {
namespace {

void apply(std::vector<std::string>& environment, const std::string& change) {
  const std::string name = change.substr(0, change.find('=')) + "=";
  std::erase_if(environment, [&](const std::string& entry) { return entry.starts_with(name); });
  if (change.find('=') != std::string::npos) environment.push_back(change);
}

}  // namespace

RunResult Plugin::call(const Lab& lab, const std::string& ns, const std::string& command,
                       const std::string& container, const std::string& input,
                       const std::vector<std::string>& extra) const {
  // A container of no lab has a namespace all the same, in which somebody lives: this process.
  const std::string netns = namespace_exists(lab.ns(container))
                                ? namespace_path(lab.ns(container))
                                : "/proc/" + std::to_string(getpid()) + "/ns/net";
  std::vector<std::string> environment = {
      "CNI_COMMAND=" + command,
      "CNI_CONTAINERID=" + container,
      "CNI_NETNS=" + netns,
      "CNI_IFNAME=eth0",
      "CNI_PATH=" + cni_path,
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  for (const std::string& change : extra) apply(environment, change);
  return run({path}, {.input = input, .environment = environment, .ns = ns});
}

std::string chained_config(std::string_view network, std::string_view previous_result,
                           std::string_view port_mappings, std::string_view more,
                           std::string_view version) {
  std::string config;
  config.append(R"({"cniVersion":")").append(version);
  config.append(R"(","name":")").append(network);
  config.append(R"(","type":"nft-port-mapper","runtimeConfig":{"portMappings":)");
  config.append(port_mappings).append("}");
  if (!previous_result.empty()) config.append(R"(,"prevResult":)").append(previous_result);
  if (!more.empty()) config.append(",").append(more);
  // Who tests a conflict would wait for the port.
  if (more.find("\"portWait\"") == std::string_view::npos) config.append(R"(,"portWait":0)");
  return config.append("}");
}

}  // namespace portmapper::test
