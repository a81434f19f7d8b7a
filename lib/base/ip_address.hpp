// IpAddress and IpPrefix: IPv4 and IPv6 addresses as values.
//
//   const std::optional<IpAddress> address = IpAddress::parse("::ffff:192.0.2.1");
//   address->unmapped().to_string();                         // "192.0.2.1"
//   IpPrefix::parse("10.22.0.2/16")->network().to_string();  // "10.22.0.0/16"
//
// Octets are in network order; an IPv4 address uses the first four of the sixteen, the rest are 0.
// Errors: parse returns nothing for text that is not an address; no zone ("%eth0"), no port.
// Does not promise: name resolution, or short forms like "10.1".
// Source: inet_pton(3), inet_ntop(3), RFC 4291 section 2.5.5.2 (IPv4-mapped).
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace portmapper {

enum class Family : std::uint8_t { ipv4, ipv6 };
inline constexpr std::array kFamilies = {Family::ipv4, Family::ipv6};

constexpr std::size_t address_length(Family family) {
  return family == Family::ipv4 ? 4 : 16;
}
std::uint8_t socket_family(Family family);  // AF_INET, AF_INET6

class IpAddress {
 public:
  using Octets = std::array<std::uint8_t, 16>;

  IpAddress() = default;  // 0.0.0.0
  IpAddress(Family family, const Octets& bytes) : family_(family), bytes_(bytes) {}
  static std::optional<IpAddress> parse(std::string_view text);
  // `bytes` has address_length(family) bytes in network order.
  static IpAddress from_bytes(Family family, const void* bytes);
  static IpAddress any(Family family) { return {family, {}}; }  // 0.0.0.0 or ::

  [[nodiscard]] Family family() const { return family_; }
  [[nodiscard]] const Octets& bytes() const { return bytes_; }
  [[nodiscard]] std::size_t length() const { return address_length(family_); }
  [[nodiscard]] bool is_any() const { return bytes_ == Octets{}; }
  [[nodiscard]] bool is_loopback() const;  // 127.0.0.0/8 or ::1
  // ::ffff:192.0.2.1 becomes 192.0.2.1; every other address stays.
  [[nodiscard]] IpAddress unmapped() const;
  // 192.0.2.1 becomes ::ffff:192.0.2.1; an IPv6 address stays.
  [[nodiscard]] IpAddress mapped() const;
  [[nodiscard]] std::string to_string() const;

  auto operator<=>(const IpAddress&) const = default;

 private:
  Family family_ = Family::ipv4;
  Octets bytes_{};
};

struct IpPrefix {
  IpAddress address;        // may have bits behind the prefix, as in 10.22.0.2/16
  std::uint8_t length = 0;  // bits, 0..32 or 0..128

  static std::optional<IpPrefix> parse(std::string_view text);  // "address/length"; length needed
  static IpPrefix host(const IpAddress& address);               // /32 or /128
  static IpPrefix everything(Family family) { return {IpAddress::any(family), 0}; }
  static IpPrefix loopback(Family family);  // 127.0.0.0/8, ::1/128
  static IpPrefix link_local() { return {{Family::ipv6, {0xfe, 0x80}}, 10}; }  // fe80::/10

  [[nodiscard]] IpPrefix network() const;  // the bits behind the prefix are 0
  [[nodiscard]] IpAddress last() const;    // the bits behind the prefix are 1
  [[nodiscard]] bool is_host() const { return length == address.length() * 8; }
  [[nodiscard]] bool contains(const IpAddress& other) const;
  [[nodiscard]] bool contains(const IpPrefix& other) const;
  [[nodiscard]] std::string to_string() const;  // "10.22.0.2/16"

  auto operator<=>(const IpPrefix&) const = default;
};

}  // namespace portmapper
