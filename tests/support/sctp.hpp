// Raw SCTP: an INIT packet sent and caught, for kernels that have no SCTP sockets.
//
//   SctpReceiver receiver(lab.ns("abc"), Family::ipv4);
//   send_raw_sctp(lab.client(), "192.0.2.1", 8080, 40000);
//   std::optional<SctpPacket> packet = receiver.receive();  // destination 10.22.0.2 port 80
//
// The receiver sees every SCTP packet that arrives for an address of its namespace, as it arrives
// (after NAT). Ports are in host byte order. While a receiver is open the kernel there does not
// answer "protocol unreachable". Errors: std::runtime_error; no packet in time is "nothing".
// Does not promise: an association, or an answer.
// Source: RFC 9260 sections 3.1 and 3.3.2, appendix A (CRC32c); raw(7).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "lib/base/ip_address.hpp"
#include "lib/base/unique_fd.hpp"

namespace portmapper::test {

struct SctpPacket {
  IpAddress source;
  IpAddress destination;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint8_t chunk_type = 0;  // 1: INIT
  bool checksum_holds = false;

  // "192.0.2.2 40000 -> 10.22.0.2 80", and what is wrong with it if anything is.
  [[nodiscard]] std::string to_string() const;
};

void send_raw_sctp(const std::string& ns, const std::string& address, std::uint16_t port,
                   std::uint16_t source_port);

class SctpReceiver {
 public:
  SctpReceiver(const std::string& ns, Family family);
  std::optional<SctpPacket> receive(
      std::chrono::milliseconds timeout = std::chrono::milliseconds(300));

 private:
  Family family_;
  UniqueFd socket_;
};

}  // namespace portmapper::test
