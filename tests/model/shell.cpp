// A history of worlds as shell commands.
#include "tests/model/stepper.hpp"
#include "tests/model/world.hpp"

namespace portmapper::model {
namespace {

std::string mappings(const std::vector<PortMapping>& plan) {
  std::string text;
  for (const PortMapping& mapping : plan) {
    if (!text.empty()) text += ",";
    text += "{\"hostPort\":" + std::to_string(mapping.host_port.value()) +
            ",\"containerPort\":" + std::to_string(mapping.container_port.value()) +
            ",\"protocol\":\"" + std::string(to_string(mapping.protocol)) + "\"";
    if (mapping.host_address) text += ",\"hostIP\":\"" + mapping.host_address->to_string() + "\"";
    text += "}";
  }
  return text;
}

std::string cni(const Scenario& scenario, const char* command, std::size_t number,
                const std::string& ports) {
  const Container& container = scenario.containers[number];
  return "cni " + std::string(command) + " " + container.attachment.container_id + " " +
         container.attachment.network + " " + container.chain + " " + container.address + " '[" +
         ports + "]' &";
}

std::string name_of(const Scenario& scenario, const Command& command) {
  const std::string id = scenario.containers[command.container].attachment.container_id;
  switch (command.kind) {
    case Command::Kind::add:
      return "the ADD of " + id;
    case Command::Kind::del:
      return "the DEL of " + id;
    case Command::Kind::prune:
      return "prune";
    case Command::Kind::gc:
      return "GC";
    case Command::Kind::restore:
      return "restore";
  }
  return {};
}

std::string describe_step(const Scenario& scenario, const Command& command) {
  const std::string name = name_of(scenario, command);
  if (command.is_done) return "# " + name + ": the runtime notes that it succeeded";
  if (command.transaction) {
    std::string text = "# " + name + " commits" +
                       (command.transaction->generation ? "" : ", whatever the generation") + ":\n";
    const std::string script = to_string(*command.transaction);
    for (std::size_t at = 0; at < script.size();) {
      const std::size_t end = script.find('\n', at);
      text += "#   " + script.substr(at, end - at) + "\n";
      at = end + 1;
    }
    text.pop_back();
    return text;
  }
  if (!command.plan && !command.withdrawal && !command.network)
    return "# " + name + (waits(command) ? " looks again" : " looks which attachments there are");
  return "# " + name + " reads one section more";
}

}  // namespace

std::string prologue(const Scenario& scenario) {
  std::string text =
      "# In a lab of tests/lab up; the plugin and the ctl of build/. A command that begins with & "
      "goes\n"
      "# on in the background: hold it with strace -e inject=sendto:delay_enter=... where a "
      "comment\n"
      "# says that another one came first.\n"
      "cni() { jq -n --arg n \"$3\" --arg c \"$4\" --arg a \"$5\" --argjson p \"$6\" "
      "'{cniVersion:\"1.1.0\","
      "name:$n,\n"
      "  type:\"nft-port-mapper\",chain:$c,runtimeConfig:{portMappings:$p},prevResult:{cniVersion:"
      "\"1.1.0\",\n"
      "  interfaces:[{name:\"eth0\",sandbox:(\"/run/netns/\"+$ENV.ID)}],ips:[{address:$a,"
      "interface:0}]}}' |\n"
      "  ip netns exec npm-host env CNI_COMMAND=$1 CNI_CONTAINERID=$2 CNI_NETNS=/run/netns/$2 "
      "CNI_IFNAME=eth0\\\n"
      "  CNI_PATH=/usr/lib/cni build/nft-port-mapper; }\n";
  for (const Container& container : scenario.containers)
    text += "# container " + container.attachment.container_id + " of network " +
            container.attachment.network + ", chain " + container.chain + "\n";
  return text;
}

std::string to_shell(const Scenario& scenario, const World& before, const Event& event) {
  const auto id = [&] { return scenario.containers[event.subject].attachment.container_id; };
  const std::string ctl = "ip netns exec npm-host build/nft-port-mapperctl ";
  const std::string nft = "ip netns exec npm-host nft ";
  switch (event.kind) {
    case Event::Kind::add:
      return (before.runtimes[event.subject].living ? "" : "ip netns add " + id() + "\n") +
             cni(scenario, "ADD", event.subject,
                 mappings(scenario.containers[event.subject].plans[event.detail]));
    case Event::Kind::del:
      return cni(scenario, "DEL", event.subject, "");
    case Event::Kind::die:
      return "ip netns del " + id();
    case Event::Kind::prune:
      return ctl + "prune &";
    case Event::Kind::gc:
      return "cni GC - " + scenario.containers.front().attachment.network +
             " ...  # with the attachments that the runtime knows";
    case Event::Kind::restore:
      return ctl + "restore &";
    case Event::Kind::flush_set:
      return nft + "flush set inet nft-port-mapper " + flushable_sets(scenario)[event.detail];
    case Event::Kind::flush_ruleset:
      return nft + "flush ruleset";
    case Event::Kind::step:
      return describe_step(scenario, before.commands[event.subject]);
    case Event::Kind::kill:
      return "kill -9 $!  # " + name_of(scenario, before.commands[event.subject]);
  }
  return {};
}

}  // namespace portmapper::model
