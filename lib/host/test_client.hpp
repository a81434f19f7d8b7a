// TestClient: a client of this host's ports that is not the host, for as long as the object lives.
//
//   Result<TestClient> client = TestClient::make("eth0");  // is forwarded as what comes by eth0 is
//   if (client) client->run([&] { use(attempt_all({})); });
//
// A network namespace of its own, with a veth pair to this one. The host's end is "npmprobe" and
// this process's number; both ends have addresses of the prefixes for benchmarks, which nobody
// routes, and the client has its default routes by the host. The host's end is in the VRF that
// the interface is in by which clients come, if it is in one. Nothing else of the host changes. The
// namespace has no name: it lives as long as this process has it open, and takes the pair, its
// addresses and routes along, also when the process is killed. A family that the host does not have,
// or whose test prefixes somebody uses here, has no address; such attempts are unreachable, so ask
// `has` first. Errors: mapping_failed with errno; EPERM without CAP_SYS_ADMIN. Does not promise:
// that rules which tell interfaces apart take it for a client of another one.
// Source: veth(4), network_namespaces(7), rtnetlink(7); RFC 2544 and RFC 5180 for the addresses.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "lib/base/error.hpp"
#include "lib/base/ip_address.hpp"
#include "lib/base/unique_fd.hpp"
#include "lib/host/interfaces.hpp"

namespace portmapper::host {

class TestClient {
 public:
  // `like`: the interface by which clients come; empty: none is known.
  static Result<TestClient> make(const std::string& like);
  TestClient(TestClient&& other) noexcept;
  TestClient& operator=(TestClient&&) = delete;
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;
  ~TestClient();  // NOLINT(bugprone-exception-escape): without memory all ends

  // On a thread in the client's namespace; returns when it is done.
  void run(const std::function<void()>& work) const;
  [[nodiscard]] bool has(Family family) const { return addresses_.contains(family); }
  [[nodiscard]] const std::map<Family, IpAddress>& addresses() const { return addresses_; }
  [[nodiscard]] const Device& device() const { return device_; }  // the host's end

 private:
  TestClient(UniqueFd netns, Device device)
      : netns_(std::move(netns)), device_(std::move(device)) {}

  UniqueFd netns_;
  Device device_;
  std::map<Family, IpAddress> addresses_;
};

}  // namespace portmapper::host
