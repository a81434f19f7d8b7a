// Runtime: containers with published ports, as a container runtime asks the plugin for them.
//
//   Lab lab;
//   lab.container("abc", "10.22.0.2/16", "fd00::2/64");
//   const Runtime runtime(lab);
//   CHECK(runtime.add("abc", {{8080, 80}, {5353, 53, "udp", "192.0.2.1"}}) == done);
//   CHECK(runtime.add("def", {{8080, 80}}) == conflict("def", "0.0.0.0:8080/tcp", "abc"));
//   CHECK(runtime.del("abc") == done);
//
// Network "web", chained form, version 1.0.0; `more` are further members of the configuration.
// A container of the lab has the addresses and the namespace that it has there; any other one is
// described by AddOptions::result and has the test's own, in which there is always somebody. The answer is `done` when the plugin
// succeeded, printed exactly what a success prints and logged nothing; the message when it printed
// the error object of code 103 with that message and logged the same; everything it said otherwise.
// Errors: those of run(). Calls from several threads at once are fine.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/support/lab.hpp"

namespace portmapper::test {

inline const std::string done = "done";

struct Mapping {
  std::uint16_t host_port;
  std::uint16_t container_port;
  std::string protocol = "tcp";
  std::string host_address{};  // empty: any
};
using Mappings = std::vector<Mapping>;
std::string to_json(const Mappings& mappings);

// What a plugin before ours printed for a container that is in no lab. Without address6 it has
// none.
std::string result_of(const std::string& address, const std::string& address6 = "");

struct AddOptions {
  std::string result{};                    // empty: that of the lab's container
  std::vector<std::string> environment{};  // as Plugin::call's `extra`
};

class Runtime {
 public:
  explicit Runtime(const Lab& lab, std::string more = R"("chain":"MESOS-WEB")",
                   std::string network = "web")
      : lab_(lab), more_(std::move(more)), network_(std::move(network)) {}

  [[nodiscard]] std::string add(const std::string& container, const Mappings& ports,
                                const AddOptions& options = {}) const;
  // As after a reboot: without ports, prevResult and CNI_NETNS, which DEL does not need.
  [[nodiscard]] std::string del(const std::string& container) const;

 private:
  const Lab& lab_;
  std::string more_;
  std::string network_;
};

// The example of the design, whose table is tests/golden/ruleset.nft: `Runtime(lab,
// example_options)` adding `example_ports` to a container "abc" with 10.22.0.2/16 and fd00::2/64.
inline const std::string example_options =
    R"("chain":"MESOS-WEB","excludeDevices":["mesos-cni0","docker0"])";
inline const Mappings example_ports = {{8080, 80}, {5353, 53, "udp", "192.0.2.1"}};
// The golden as nft lists it, normalised.
const std::string& golden_listing();
// The same listing, sets and maps empty.
std::string without_elements(const std::string& listing);
// Empty when both are the same, else the lines in which they differ, "-" before those of `is` and
// "+" before those of `expected`. A failed comparison of listings is unreadable without.
std::string difference(const std::string& is, const std::string& expected);
std::string replaced(std::string text, const std::string& from, const std::string& to);

// The answer of an ADD of `container` when `port` ("0.0.0.0:8080/tcp") is `owner`'s; several ports
// are "<port> is published by <owner>" joined by "; ".
std::string published_by(const std::string& port, const std::string& owner,
                         const std::string& network = "web");
std::string conflict(const std::string& container, const std::string& published);

// Packets that the counter of one element saw: connections of that port. "none": no such element.
std::string connections(const Lab& lab, const std::string& map, const std::string& element);

// Calls function(0), function(1), ... each on its own thread, all let go at once.
std::vector<std::string> at_once(std::size_t count,
                                 const std::function<std::string(std::size_t)>& function);

}  // namespace portmapper::test
