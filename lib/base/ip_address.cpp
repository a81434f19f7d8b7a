#include "lib/base/ip_address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace portmapper {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// The address with every bit behind `length` set to `bit`.
IpAddress with_host_bits(const IpPrefix& prefix, bool bit) {
  IpAddress::Octets bytes = prefix.address.bytes();
  for (std::size_t i = 0; i < prefix.address.length(); ++i) {
    const std::size_t first_bit = i * 8;
    const std::size_t kept =
        prefix.length <= first_bit ? 0 : std::min<std::size_t>(prefix.length - first_bit, 8);
    const auto mask = static_cast<std::uint8_t>(0xffU << (8 - kept));
    const auto host = static_cast<std::uint8_t>(bit ? ~mask : 0);
    bytes[i] = static_cast<std::uint8_t>((bytes[i] & mask) | host);
  }
  return {prefix.address.family(), bytes};
}

}  // namespace

std::uint8_t socket_family(Family family) {
  return family == Family::ipv4 ? AF_INET : AF_INET6;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  if (text.size() >= buffer.size() || text.find('\0') != std::string_view::npos)
    return std::nullopt;
  std::copy(text.begin(), text.end(), buffer.begin());
  const Family family = text.find(':') == std::string_view::npos ? Family::ipv4 : Family::ipv6;
  Octets bytes{};
  if (inet_pton(socket_family(family), buffer.data(), bytes.data()) != 1) return std::nullopt;
  return IpAddress(family, bytes);
}

IpAddress IpAddress::from_bytes(Family family, const void* bytes) {
  Octets copy{};
  std::memcpy(copy.data(), bytes, address_length(family));
  return {family, copy};
}

bool IpAddress::is_loopback() const {
  if (family_ == Family::ipv4) return bytes_[0] == 127;
  Octets one{};
  one[15] = 1;
  return bytes_ == one;
}

IpAddress IpAddress::unmapped() const {
  if (family_ == Family::ipv4 ||
      !std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes_.begin()))
    return *this;
  return from_bytes(Family::ipv4, bytes_.data() + kMappedPrefix.size());
}

IpAddress IpAddress::mapped() const {
  if (family_ == Family::ipv6) return *this;
  Octets bytes{};
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin());
  std::copy_n(bytes_.begin(), 4, bytes.begin() + kMappedPrefix.size());
  return {Family::ipv6, bytes};
}

std::string IpAddress::to_string() const {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  inet_ntop(socket_family(family_), bytes_.data(), buffer.data(), buffer.size());
  return buffer.data();
}

std::optional<IpPrefix> IpPrefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::optional<IpAddress> address = IpAddress::parse(text.substr(0, slash));
  const std::string_view digits = text.substr(slash + 1);
  if (!address || digits.empty() || digits.size() > 3) return std::nullopt;
  std::uint8_t length = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (error != std::errc() || end != digits.data() + digits.size() ||
      length > address->length() * 8)
    return std::nullopt;
  return IpPrefix{*address, length};
}

IpPrefix IpPrefix::loopback(Family family) {
  if (family == Family::ipv4) return {{Family::ipv4, {127}}, 8};
  IpAddress::Octets one{};
  one.back() = 1;
  return host({Family::ipv6, one});
}

IpPrefix IpPrefix::host(const IpAddress& address) {
  return {address, static_cast<std::uint8_t>(address.length() * 8)};
}

IpPrefix IpPrefix::network() const {
  return {with_host_bits(*this, false), length};
}

IpAddress IpPrefix::last() const {
  return with_host_bits(*this, true);
}

bool IpPrefix::contains(const IpAddress& other) const {
  return other.family() == address.family() &&
         with_host_bits({other, length}, false) == with_host_bits(*this, false);
}

bool IpPrefix::contains(const IpPrefix& other) const {
  return other.length >= length && contains(other.address);
}

std::string IpPrefix::to_string() const {
  return address.to_string() + "/" + std::to_string(length);
}

}  // namespace portmapper
