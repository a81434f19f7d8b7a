// Key: the bytes of set keys and map data, and what they mean.
//
//   claim_key({IpAddress::any(Family::ipv4), Protocol::tcp, port8080});  // 06000000 1f900000
//   owner_key(owner, 1);  // "k3f9..." and its NUL; 01000000, on a little-endian host
//
// Byte layout, as nft concatenates: each field starts at a multiple of 4 bytes, padded with 0.
//   ipv4_addr      4 bytes, network order       ipv6_addr     16 bytes, network order
//   inet_proto     1 byte + 3                   inet_service  2 bytes + 2, network order
//   ifname        16 bytes, NUL-padded          mark           4 bytes, host order
// Errors: the parsers return nothing for bytes of another layout. Does not promise: room for more
// than 32 bytes. Source: kernel include/uapi/linux/netfilter/nf_tables.h, nftables' datatype.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/bytes.hpp"
#include "lib/base/ip_address.hpp"
#include "nft/names.hpp"
#include "nft/published_port.hpp"

namespace portmapper::nft {

// What a field of `length` bytes takes in a concatenation.
constexpr std::size_t padded(std::size_t length) {
  return (length + 3) & ~std::size_t{3};
}

// A key or data of up to 32 bytes, without an allocation.
class Key {
 public:
  void add(std::span<const std::uint8_t> field);  // and pads to a multiple of 4
  [[nodiscard]] std::span<const std::uint8_t> bytes() const { return {bytes_.data(), size_}; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  bool operator==(const Key&) const = default;

 private:
  std::array<std::uint8_t, 32> bytes_{};
  std::uint8_t size_ = 0;
};

enum class FieldType : std::uint8_t {
  ipv4_addr,
  ipv6_addr,
  inet_proto,
  inet_service,
  ifname,
  mark,
  ct_state,
  fib_addrtype
};

struct Field {
  const char* name;       // nft's word
  std::uint32_t type_id;  // nft's number for it, which the kernel only stores
  std::uint32_t length;   // bytes without padding
};
const Field& field(FieldType type);

Key claim_key(const PublishedPort& port);  // [address .] protocol . port
Key target_data(const Endpoint& endpoint);
Key owner_key(const OwnerHash& hash, std::uint32_t index);
Key owner_data(const PublishedPort& port);   // IPv4 addresses as ::ffff:a.b.c.d
Key standby_data(const Endpoint& endpoint);  // likewise
Key service_key(const PublishedPort& port);  // protocol . port, whatever its address
Key device_key(std::string_view device);
Key device_user_key(const OwnerHash& hash);
Key hairpin_key(const IpPrefix& source, const IpPrefix& destination);      // the first of both
Key hairpin_key_end(const IpPrefix& source, const IpPrefix& destination);  // the last of both

std::string parse_device(std::span<const std::uint8_t> bytes);  // empty: of another layout
struct OwnerKey {
  OwnerHash owner{};
  std::uint32_t index = 0;
};
std::optional<OwnerKey> parse_owner_key(std::span<const std::uint8_t> key);
std::optional<PublishedPort> parse_owner_data(std::span<const std::uint8_t> data);
std::optional<Endpoint> parse_standby_data(std::span<const std::uint8_t> data);
std::optional<PublishedPort> parse_claim_key(std::span<const std::uint8_t> key, Suffix suffix);
std::optional<Endpoint> parse_target_data(std::span<const std::uint8_t> data, Family family);

// Our intervals are prefixes; bits that differ are taken for host bits.
std::optional<std::pair<IpPrefix, IpPrefix>> parse_hairpin_key(
    std::span<const std::uint8_t> key, std::span<const std::uint8_t> key_end, Family family);

// "192.0.2.1 . tcp . 8080", as nft prints the fields.
std::string format_key(std::span<const FieldType> types, std::span<const std::uint8_t> key);
// "127.0.0.0/8 . 10.22.0.0/16"; address fields only, each from `key` to `key_end`.
std::string format_interval(std::span<const FieldType> types, std::span<const std::uint8_t> key,
                            std::span<const std::uint8_t> key_end);

}  // namespace portmapper::nft
