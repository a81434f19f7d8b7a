#include "tests/support/lab.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <stdexcept>

namespace portmapper::test {
namespace {

// One process for any number of `ip` commands.
void ip(const std::string& ns, const std::string& commands) {
  const RunResult result = run({"ip", "-batch", "-"}, {.input = commands, .ns = ns});
  if (result.status != 0) {
    throw std::runtime_error("ip in " + ns + ": " + result.err + "of\n" + commands);
  }
}

std::string without_length(const std::string& prefix) {
  return prefix.substr(0, prefix.find('/'));
}

std::string bridge_commands(const std::string& bridge, const std::string& address,
                            const std::string& address6) {
  std::string commands = "link add " + bridge + " type bridge\n";
  commands += "addr add " + address + " dev " + bridge + "\n";
  if (!address6.empty()) commands += "addr add " + address6 + " dev " + bridge + " nodad\n";
  return commands + "link set " + bridge + " up\n";
}

// An address has the same MAC address in whatever container it is, so that neighbours that know it
// need not learn it again when a new container takes it over.
std::string mac_of(const std::string& prefix) {
  const IpAddress address = parse_address(without_length(prefix));
  std::array<char, 18> text{};
  std::snprintf(text.data(), text.size(), "02:42:%02x:%02x:%02x:%02x", address.bytes()[0],
                address.bytes()[1], address.bytes()[2], address.bytes()[3]);
  return text.data();
}

std::string json_text(std::string_view text) {
  return "\"" + std::string(text) + "\"";
}

}  // namespace

Lab::Lab() {
  static std::atomic<int> counter{0};
  prefix_ = "npm-" + std::to_string(getpid()) + "-" + std::to_string(++counter) + "-";
  try {
    build();
  } catch (...) {
    for (const std::string& ns : namespaces_) remove_namespace(ns);
    throw;
  }
}

Lab::~Lab() {
  for (const std::string& ns : namespaces_) remove_namespace(ns);
}

void Lab::build() {
  add({"host", "client"});
  write_sysctl(host(), "net/ipv4/ip_forward", "1");
  write_sysctl(host(), "net/ipv6/conf/all/forwarding", "1");
  bridge_netfilter(false);
  ip(host(),
     "link set lo up\n"
     "link add lan0 type veth peer name eth0 netns " +
         client() +
         "\n"
         "addr add 192.0.2.1/24 dev lan0\n"
         "addr add 192.0.2.11/24 dev lan0\n"
         "addr add 2001:db8::1/64 dev lan0 nodad\n"
         "link set lan0 up\n" +
         bridge_commands("cni0", "10.22.0.1/16", "fd00::1/64"));
  networks_["cni0"] = {"10.22.0.1", "fd00::1"};
  ip(client(),
     "link set lo up\n"
     "addr add 192.0.2.2/24 dev eth0\n"
     "addr add 2001:db8::2/64 dev eth0 nodad\n"
     "link set eth0 up\n"
     "route add default via 192.0.2.1\n"
     "route add default via 2001:db8::1\n");
}

void Lab::add(const std::vector<std::string>& names) {
  std::vector<std::string> added;
  for (const std::string& name : names) added.push_back(ns(name));
  make_namespaces(added);
  namespaces_.insert(namespaces_.end(), added.begin(), added.end());
  // For the interfaces to come: an address is usable the moment it is added.
  for (const std::string& name : added) write_sysctl(name, "net/ipv6/conf/default/accept_dad", "0");
}

void Lab::network(const std::string& bridge, const std::string& address,
                  const std::string& address6) {
  ip(host(), bridge_commands(bridge, address, address6));
  networks_[bridge] = {without_length(address), without_length(address6)};
}

std::string Lab::container(const std::string& name, const std::string& address,
                           const std::string& address6, const ContainerOptions& options) {
  const Network& network = networks_.at(options.bridge);
  const std::string interface = "veth" + std::to_string(interfaces_++);
  add({name});
  std::string commands = "link add " + interface + " type veth peer name eth0 address " +
                         mac_of(address) + " netns " + ns(name) + "\n" + "link set " + interface +
                         " master " + options.bridge + " up\n";
  if (options.hairpin) commands += "link set " + interface + " type bridge_slave hairpin on\n";
  ip(host(), commands);
  commands = "link set lo up\naddr add " + address + " dev eth0\n";
  if (!address6.empty()) commands += "addr add " + address6 + " dev eth0 nodad\n";
  commands += "link set eth0 up\nroute add default via " + network.gateway + "\n";
  if (!address6.empty()) commands += "route add default via " + network.gateway6 + "\n";
  ip(ns(name), commands);
  containers_[name] = {address, address6, options.bridge, interface};
  return ns(name);
}

std::string Lab::bare(const std::string& name) {
  add({name});
  ip(ns(name), "link set lo up\n");
  return ns(name);
}

void Lab::remove(const std::string& name) {
  const auto found = std::find(namespaces_.begin(), namespaces_.end(), ns(name));
  if (found == namespaces_.end()) throw std::runtime_error(name + " is not in this lab");
  // The pair goes at once, and with it the address; the kernel takes its time for namespaces.
  const auto container = containers_.find(name);
  if (container != containers_.end()) {
    ip(host(), "link del " + container->second.host_interface + "\n");
    containers_.erase(container);
  }
  remove_namespace(*found);
  namespaces_.erase(found);
}

void Lab::bridge_netfilter(bool on) const {
  for (const char* key :
       {"net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables"}) {
    write_sysctl(host(), key, on ? "1" : "0");
  }
}

std::string Lab::previous_result(const std::string& name, std::string_view version) const {
  const Container& container = containers_.at(name);
  const Network& network = networks_.at(container.bridge);
  // Before 1.0.0 every address tells its family.
  const bool tell_family = version.starts_with("0.");
  std::string ips = (tell_family ? R"({"version":"4","address":)" : R"({"address":)") +
                    json_text(container.address) + R"(,"gateway":)" + json_text(network.gateway) +
                    R"(,"interface":2})";
  if (!container.address6.empty()) {
    ips += (tell_family ? R"(,{"version":"6","address":)" : R"(,{"address":)") +
           json_text(container.address6) + R"(,"gateway":)" + json_text(network.gateway6) +
           R"(,"interface":2})";
  }
  return R"({"cniVersion":)" + json_text(version) + R"(,"interfaces":[{"name":)" +
         json_text(container.bridge) + R"(},{"name":)" + json_text(container.host_interface) +
         R"(},{"name":"eth0","sandbox":)" + json_text(namespace_path(ns(name))) + R"(}],"ips":[)" +
         ips + R"(],"routes":[{"dst":"0.0.0.0/0"}],"dns":{}})";
}

}  // namespace portmapper::test
