#include "tests/support/monitor.hpp"

#include <chrono>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "tests/support/listing.hpp"
#include "tests/support/namespace.hpp"
#include "tests/support/slowness.hpp"

namespace portmapper::test {
namespace {

// nft writes each event as it comes; the last one it has to see is a table of this name.
constexpr const char* last_event = "npm-monitor-stop";

// A socket of NETLINK_NETFILTER (12) that is a member of NFNLGRP_NFTABLES (bit 6).
bool has_listener(const std::string& ns) {
  return in_namespace(ns, [] {
    std::ifstream sockets("/proc/thread-self/net/netlink");
    std::string line;
    std::getline(sockets, line);  // headings
    while (std::getline(sockets, line)) {
      std::istringstream fields(line);
      std::string address;
      std::string protocol;
      std::string port;
      std::string groups;
      fields >> address >> protocol >> port >> groups;
      if (protocol == "12" && (std::stoul(groups, nullptr, 16) & 1UL << 6) != 0) return true;
    }
    return false;
  });
}

}  // namespace

Monitor::Monitor(std::string ns) : ns_(std::move(ns)) {
  const std::string script =
      std::string("exec 3< <(exec nft monitor)\nsed '/") + last_event + "/q' <&3\nkill $!\n";
  running_ = std::async(std::launch::async, [script, in = ns_] {
    return run({"bash", "-c", script}, {.ns = in});
  });
  const auto deadline = std::chrono::steady_clock::now() + slowness() * std::chrono::seconds(5);
  while (!has_listener(ns_)) {
    if (std::chrono::steady_clock::now() > deadline)
      throw std::runtime_error("nft monitor does not listen");
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

Monitor::~Monitor() {
  if (running_.valid()) (void)stop();
}

std::string Monitor::stop() {
  nft(ns_, std::string("add table inet ") + last_event);
  std::string events = running_.get().out;
  nft(ns_, std::string("delete table inet ") + last_event);
  return events.substr(0, events.rfind(std::string("add table inet ") + last_event));
}

}  // namespace portmapper::test
