#include "tests/support/sctp.hpp"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>
#include <stdexcept>
#include <vector>

#include "tests/support/slowness.hpp"
#include "tests/support/traffic.hpp"

namespace portmapper::test {
namespace {

constexpr std::uint8_t chunk_init = 1;
constexpr std::size_t checksum_offset = 8;
constexpr std::size_t smallest = 12 + 4;  // common header and a chunk header

std::uint32_t crc32c(std::span<const std::uint8_t> bytes) {
  std::uint32_t crc = 0xffffffff;
  for (const std::uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
  }
  return ~crc;
}

void put16(std::span<std::uint8_t> bytes, std::size_t offset, std::uint16_t value) {
  bytes[offset] = static_cast<std::uint8_t>(value >> 8);
  bytes[offset + 1] = static_cast<std::uint8_t>(value & 0xff);
}

std::uint16_t get16(std::span<const std::uint8_t> bytes, std::size_t offset) {
  return static_cast<std::uint16_t>(bytes[offset] << 8 | bytes[offset + 1]);
}

// The checksum is the one field of the packet that goes out in little endian.
void put_checksum(std::span<std::uint8_t> bytes, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) {
    bytes[checksum_offset + i] = static_cast<std::uint8_t>(value >> (8 * i) & 0xff);
  }
}

//  0  source port, destination port, verification tag 0, checksum
// 12  type, flags, length 20, initiate tag, receiver window, streams out, in, initial TSN
std::array<std::uint8_t, 32> init_packet(std::uint16_t source_port, std::uint16_t port) {
  std::array<std::uint8_t, 32> packet{};
  put16(packet, 0, source_port);
  put16(packet, 2, port);
  packet[12] = chunk_init;
  put16(packet, 14, 20);
  put16(packet, 18, 4711);
  put16(packet, 22, 65535);
  put16(packet, 24, 1);
  put16(packet, 26, 1);
  put16(packet, 30, 1);
  put_checksum(packet, crc32c(packet));
  return packet;
}

bool checksum_holds(std::span<const std::uint8_t> bytes) {
  std::vector<std::uint8_t> copy(bytes.begin(), bytes.end());
  put_checksum(copy, 0);
  put_checksum(copy, crc32c(copy));
  return std::memcmp(copy.data(), bytes.data(), bytes.size()) == 0;
}

IpAddress destination_of(msghdr& message) {
  for (cmsghdr* item = CMSG_FIRSTHDR(&message); item != nullptr;
       item = CMSG_NXTHDR(&message, item)) {
    if (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_PKTINFO) {
      return IpAddress::from_bytes(Family::ipv4, CMSG_DATA(item) + offsetof(in_pktinfo, ipi_addr));
    }
    if (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_PKTINFO) {
      return IpAddress::from_bytes(Family::ipv6, CMSG_DATA(item));
    }
  }
  throw std::runtime_error("the kernel did not tell the destination of an SCTP packet");
}

}  // namespace

std::string SctpPacket::to_string() const {
  std::string text = source.to_string() + " " + std::to_string(source_port) + " -> " +
                     destination.to_string() + " " + std::to_string(destination_port);
  if (chunk_type != chunk_init) text += ", chunk type " + std::to_string(chunk_type);
  if (!checksum_holds) text += ", wrong checksum";
  return text;
}

void send_raw_sctp(const std::string& ns, const std::string& address, std::uint16_t port,
                   std::uint16_t source_port) {
  const IpAddress remote = parse_address(address);
  const UniqueFd fd = open_socket(ns, remote.family(), SOCK_RAW, IPPROTO_SCTP);
  const SocketAddress to(remote, 0);  // a raw IPv6 socket accepts no port here
  const auto packet = init_packet(source_port, port);
  if (sendto(fd.get(), packet.data(), packet.size(), MSG_NOSIGNAL, to.get(), to.length) < 0) {
    throw std::runtime_error("SCTP to " + address + ": " + std::strerror(errno));
  }
}

SctpReceiver::SctpReceiver(const std::string& ns, Family family)
    : family_(family), socket_(open_socket(ns, family, SOCK_RAW, IPPROTO_SCTP)) {
  const int on = 1;
  const int failed =
      family == Family::ipv4
          ? setsockopt(socket_.get(), IPPROTO_IP, IP_PKTINFO, &on, sizeof on)
          : setsockopt(socket_.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
  if (failed != 0) throw std::runtime_error(std::string("setsockopt: ") + std::strerror(errno));
}

std::optional<SctpPacket> SctpReceiver::receive(std::chrono::milliseconds timeout) {
  pollfd entry{socket_.get(), POLLIN, 0};
  if (poll(&entry, 1, slowness() * static_cast<int>(timeout.count())) <= 0) return std::nullopt;
  SocketAddress peer;
  std::array<std::uint8_t, 2048> buffer{};
  alignas(cmsghdr) std::array<char, 128> control{};
  iovec data{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_name = peer.get();
  message.msg_namelen = peer.length;
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t count = recvmsg(socket_.get(), &message, 0);
  if (count < 0) throw std::runtime_error(std::string("SCTP: ") + std::strerror(errno));
  std::span<const std::uint8_t> bytes(buffer.data(), static_cast<std::size_t>(count));
  // IPv4 raw sockets hand out the IP header as well; its length is in units of four bytes.
  if (family_ == Family::ipv4) bytes = bytes.subspan((bytes[0] & 0x0fU) * 4U);
  if (bytes.size() < smallest) throw std::runtime_error("a truncated SCTP packet");
  return SctpPacket{.source = peer.address(),
                    .destination = destination_of(message),
                    .source_port = get16(bytes, 0),
                    .destination_port = get16(bytes, 2),
                    .chunk_type = bytes[12],
                    .checksum_holds = checksum_holds(bytes)};
}

}  // namespace portmapper::test
