// CniNetwork: a network whose interfaces a CNI plugin of Debian makes, as our plugin's delegate.
//
//   CniNetwork network(lab, "web", R"("type":"ptp")", "10.26.0.0/24", "fd26::/64");
//   lab.bare("abc");
//   REQUIRE(network.add("abc", {{8080, 80}}) == "10.26.0.2 fd26::2");
//   CHECK(network.del("abc") == done);
//
// `delegate` are members of the delegate's object, but for ipam, which is host-local: the first
// address of each subnet is the gateway's, the next ones the containers'. `more` are further
// members of the configuration. The chain is called as the network. Calls leave nothing outside of
// the lab. Errors: those of run(); what the plugin said where it failed.
// Source: the plugins' own pages; host-local keeps its state below `dataDir`.
#pragma once

#include <string>

#include "tests/support/files.hpp"
#include "tests/support/runtime.hpp"

namespace portmapper::test {

class CniNetwork {
 public:
  CniNetwork(const Lab& lab, std::string name, std::string delegate, std::string subnet,
             std::string subnet6, std::string more = "");

  // The container's addresses, IPv4 and IPv6.
  [[nodiscard]] std::string add(const std::string& container, const Mappings& ports) const;
  [[nodiscard]] std::string del(const std::string& container) const;

 private:
  [[nodiscard]] std::string config(const Mappings& ports) const;

  const Lab& lab_;
  std::string name_;
  std::string delegate_;
  std::string subnet_;
  std::string subnet6_;
  std::string more_;
  ScratchDirectory scratch_;
};

}  // namespace portmapper::test
