// Lab: a host, a client on its LAN and containers behind its bridge, in namespaces of their own.
//
//   Lab lab;
//   lab.container("abc", "10.22.0.2/16", "fd00::2/64");
//   Server server(lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
//   CHECK(probe(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.2");
//
//   client  eth0 192.0.2.2/24, 2001:db8::2/64, default routes by the host
//     |
//   host    lan0 192.0.2.1/24, 192.0.2.11/24, 2001:db8::1/64; forwards IPv4 and IPv6
//     |     cni0 10.22.0.1/16, fd00::1/64 (and more bridges, see network())
//   abc     eth0 with the addresses given, default routes by the bridge
//
// Names are unique to process and lab: "npm-<pid>-<n>-host". No duplicate address detection, so all
// addresses work at once. Everything goes with the Lab, and when the process ends in any way.
// Errors: std::runtime_error with the tool's own words. Does not touch the machine's own network.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "tests/support/listing.hpp"
#include "tests/support/namespace.hpp"
#include "tests/support/plugin.hpp"
#include "tests/support/process.hpp"
#include "tests/support/sctp.hpp"
#include "tests/support/traffic.hpp"

namespace portmapper::test {

struct ContainerOptions {
  std::string bridge = "cni0";
  bool hairpin = false;  // hairpin mode of the bridge port, as CNI's bridge plugin has it
};

class Lab {
 public:
  Lab();
  ~Lab();
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;

  [[nodiscard]] std::string host() const { return ns("host"); }
  [[nodiscard]] std::string client() const { return ns("client"); }
  // The namespace of `name` in this lab, whether it exists or not.
  [[nodiscard]] std::string ns(std::string_view name) const { return prefix_ + std::string(name); }

  // Another bridge on the host: network("cni1", "10.23.0.1/16", "fd01::1/64").
  void network(const std::string& bridge, const std::string& address, const std::string& address6);
  // Returns the container's namespace. Without address6 it has no IPv6 address.
  std::string container(const std::string& name, const std::string& address,
                        const std::string& address6 = "", const ContainerOptions& options = {});
  // A namespace with lo and nothing else, for plugins that make the interface. Returns its name.
  std::string bare(const std::string& name);
  // The container dies: its namespace is gone, its addresses are free.
  void remove(const std::string& name);

  // net.bridge.bridge-nf-call-{iptables,ip6tables} of the host; off at first, as before br_netfilter
  // is loaded.
  void bridge_netfilter(bool on) const;
  // What a bridge plugin would have printed for a container of this lab.
  [[nodiscard]] std::string previous_result(const std::string& name,
                                            std::string_view version = "1.0.0") const;
  // The host's end of the container's veth pair.
  [[nodiscard]] const std::string& host_interface(const std::string& name) const {
    return containers_.at(name).host_interface;
  }

  template <typename Function>
  static auto in(const std::string& ns, Function function) {
    return in_namespace(ns, std::move(function));
  }

 private:
  struct Network {
    std::string gateway;  // without the prefix length
    std::string gateway6;
  };
  struct Container {
    std::string address;
    std::string address6;
    std::string bridge;
    std::string host_interface;
  };

  void add(const std::vector<std::string>& names);
  void build();

  std::string prefix_;
  std::vector<std::string> namespaces_;
  std::map<std::string, Network> networks_;
  std::map<std::string, Container> containers_;
  int interfaces_ = 0;
};

}  // namespace portmapper::test
