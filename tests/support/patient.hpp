// Patient: a host with one published port, for nft-port-mapperctl doctor to look at.
//
//   const Patient patient;                      // container abc publishes 8080/tcp, both families
//   patient.finds({{filters, "problem  ...\n"}}, "1 problem, no notes");  // all other checks: ok
//   patient.mend();                             // what the doctor printed, by sh
//   CHECK(patient.is_well());
//
// Somebody listens behind the ports while the doctor looks, unless `is_served` is false. Errors: those
// of Lab and run(); finds, mend and is_well check with doctest. Does not promise: that a server
// listens there at other times.
#pragma once

#include <doctest/doctest.h>

#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>

#include "tests/support/first_mounts.hpp"
#include "tests/support/runtime.hpp"
#include "tests/support/tool.hpp"

namespace portmapper::test {

enum Check : std::size_t {
  privileges,
  kernel,
  forwarding4,
  forwarding6,
  arrival,
  tracking,
  filters,
  departure,
  translation,
  sources,
  networks,
  portmap,
  legacy,
  listeners,
  localnet,
  bridges,
  loopback6,
  addresses,
  services,
  strictness,
  conntrack,
  table,
  records,
  links,
  routes,
  containers,
  trials,
  checks
};

inline const std::array<std::string, checks> well = {
    "ok       privileges: CAP_NET_ADMIN is present\n",
    "ok       kernel: accepts everything that an ADD builds (inet NAT, concatenations,"
    " generation)\n",
    "ok       forwarding: IPv4 packets are forwarded\n",
    "ok       forwarding: IPv6 packets are forwarded\n",
    "ok       arrival: no rule drops packets before their translation\n",
    "ok       tracking: no rule keeps connections from being tracked\n",
    "ok       filters: no forward chain drops packets to published ports\n",
    "ok       departure: no rule drops packets behind the forward chains\n",
    "ok       translation: no other table translates a published port first\n",
    "ok       sources: no other table hides the clients' addresses\n",
    "ok       networks: their devices and conditions let clients in\n",
    "ok       portmap: left nothing behind\n",
    "ok       iptables-legacy: has no table that cannot be read\n",
    "ok       listeners: no process of the host listens where a port is published\n",
    "ok       route_localnet: not set without the guard\n",
    "ok       br_netfilter: bridges do not pass frames to the IP rules\n",
    "ok       ::1: reaches the published ports that it can reach\n",
    "ok       addresses: the host has those of all published ports\n",
    "ok       services: ports on any address leave those of the cluster alone\n",
    "ok       rp_filter: drops no packet of a published port\n",
    "ok       conntrack: the table has room\n",
    "ok       table: `check` finds nothing in it\n",
    "ok       records: no living container's ports are missing\n",
    "ok       links: bridges and veth pairs are up, with one MTU\n",
    "ok       routes: lead to every container, and back to its clients\n",
    "ok       containers: have their address, a route back and somebody who listens\n",
    "ok       probe: test connections to the published ports show no other failure\n"};

inline const std::string served = "abc 192.0.2.2";

// A host with one published port, and a server behind it.
class Patient {
 public:
  // `network`: further members of its configuration.
  explicit Patient(const Mappings& ports = {{8080, 80}},
                   const std::string& network = R"("chain":"MESOS-WEB")")
      : runtime_(lab, network), ports_(ports) {
    lab.bridge_netfilter(false);
    // New namespaces take over these of the machine.
    write_sysctl(lab.host(), "net/ipv4/conf/all/rp_filter", "0");
    lab.container("abc", "10.22.0.2/16", "fd00::2/64");
    write_sysctl(lab.host(), "net/ipv4/conf/cni0/rp_filter", "0");
    if (!ports.empty()) REQUIRE(runtime_.add("abc", ports) == done);
  }

  // As on the host itself, where it can be told who is gone.
  [[nodiscard]] RunResult doctor(const std::vector<std::string>& words = {}) const {
    const std::vector<std::unique_ptr<Server>> servers = serve();
    std::vector<std::string> argv = {CTL, "doctor"};
    argv.insert(argv.end(), words.begin(), words.end());
    return run(in_first_mounts(std::move(argv)), {.ns = lab.host()});
  }
  [[nodiscard]] bool is_well() const {
    const RunResult result = doctor();
    std::string expected;
    for (std::size_t i = 0; i < checks; ++i)
      if (i != trials || !ports_.empty()) expected += well.at(i);
    CHECK(difference(result.out, expected + "\nno problems, no notes\n") == "");
    return result.status == 0;
  }
  // The whole output: well, but for these findings.
  void finds(const std::map<Check, std::string>& findings, const std::string& summary) const {
    std::string expected;
    for (std::size_t i = 0; i < checks; ++i) {
      const auto found = findings.find(static_cast<Check>(i));
      if (i == trials && ports_.empty()) continue;
      expected += found == findings.end() ? well.at(i) : found->second;
    }
    const RunResult result = doctor();
    CHECK(difference(result.out, expected + "\n" + summary + "\n") == "");
    CHECK(result.err == "");
    CHECK(result.status == (summary.starts_with("no problems") ? 0 : 1));
  }
  // Runs every command that the doctor prints, as an operator would who says yes when asked.
  void mend() const {
    const std::string mark = "         fix:  ";
    std::vector<std::string> environment = tool_environment();
    environment[0] += ":" + std::filesystem::path(CTL).parent_path().string();
    std::istringstream lines(doctor().out);
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with(mark)) continue;
      std::string command = line.substr(mark.size());
      if (command.ends_with("ctl flush")) command += " --yes";
      const RunResult result =
          run({"sh", "-c", command}, {.environment = environment, .ns = lab.host()});
      CAPTURE(line);
      CAPTURE(result.out);
      CHECK(result.err == "");
      CHECK((result.status == 0 || line.ends_with("check --repair")));  // says what it found
    }
  }
  [[nodiscard]] std::string answer(const std::string& address = "192.0.2.1") const {
    return ask(lab.client(), Protocol::tcp, address, 8080);
  }
  // Where none is expected: it does not wait long.
  [[nodiscard]] std::string failure() const {
    return probe(lab.client(), Protocol::tcp, "192.0.2.1", 8080);
  }

  // As the CNI project's portmap published a port, before the container died without a DEL.
  void portmap(const std::string& container, std::uint16_t port) const {
    const Plugin plugin{"/usr/lib/cni/portmap"};
    const std::string config = chained_config("old", result_of("10.22.0.77/16", "fd00::77/64"),
                                              to_json({{port, 80}}), R"("snat":false)");
    REQUIRE(plugin.call(lab, lab.host(), "ADD", container, config).status == 0);
  }

  Lab lab;
  bool is_served = true;

 private:
  // Where nobody listens yet: a test may have servers of its own.
  [[nodiscard]] std::vector<std::unique_ptr<Server>> serve() const {
    std::vector<std::unique_ptr<Server>> servers;
    for (const Mapping& port : ports_)
      for (const char* address : {"0.0.0.0", "::"}) {
        if (!is_served) return servers;
        try {
          servers.push_back(std::make_unique<Server>(
              lab.ns("abc"), "abc", *parse_protocol(port.protocol), address, port.container_port));
        } catch (const std::runtime_error&) {
          continue;
        }
      }
    return servers;
  }

  Runtime runtime_;
  Mappings ports_;
};

inline std::string word_after(const std::string& text, const std::string& mark) {
  const std::size_t at = text.find(mark);
  if (at == std::string::npos) return "none";
  const std::size_t begin = at + mark.size();
  return text.substr(begin, text.find_first_of(" \n", begin) - begin);
}

inline std::string handle_of(const Lab& lab, const std::string& table, const std::string& text) {
  std::istringstream lines(tool(lab.host(), "nft -a list table " + table));
  const std::string mark = " # handle ";
  for (std::string line; std::getline(lines, line);)
    if (line.find(text) != std::string::npos && line.find(mark) != std::string::npos)
      return line.substr(line.find(mark) + mark.size());
  return "none";
}

// HANDLE is that of the rule with `rule` in it.
inline std::string with_handle(const Patient& patient, const std::string& table,
                               const std::string& rule, const std::string& text) {
  return replaced(text, "HANDLE", handle_of(patient.lab, table, rule));
}

}  // namespace portmapper::test
