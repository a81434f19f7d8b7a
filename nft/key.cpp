#include "nft/key.hpp"

#include <algorithm>
#include <cassert>
#include <cstdio>
#include <cstring>

namespace portmapper::nft {
namespace {

// Numbers from nftables' enum datatypes; they are part of its listing format.
constexpr std::array<Field, 8> kFields = {{{"ipv4_addr", 7, 4},
                                           {"ipv6_addr", 8, 16},
                                           {"inet_proto", 12, 1},
                                           {"inet_service", 13, 2},
                                           {"ifname", 41, 16},
                                           {"mark", 19, 4},
                                           {"ct_state", 26, 4},
                                           {"fib_addrtype", 38, 4}}};

void add_address(Key& key, const IpAddress& address) {
  key.add({address.bytes().data(), address.length()});
}

void add_protocol(Key& key, Protocol protocol) {
  const auto number = static_cast<std::uint8_t>(protocol);
  key.add({&number, 1});
}

void add_port(Key& key, Port port) {
  key.add(network_number(port.value()));
}

std::optional<Port> parse_port(const std::uint8_t* bytes) {
  return Port::from(bytes[0] << 8 | bytes[1]);
}

// protocol . port, at `bytes`
std::optional<PublishedPort> parse_service(const IpAddress& address, const std::uint8_t* bytes) {
  const auto protocol = protocol_from_number(bytes[0]);
  const auto port = parse_port(bytes + 4);
  if (!protocol || !port) return std::nullopt;
  return PublishedPort{address, *protocol, *port};
}

std::string format_field(FieldType type, const std::uint8_t* bytes) {
  switch (type) {
    case FieldType::ipv4_addr:
      return IpAddress::from_bytes(Family::ipv4, bytes).to_string();
    case FieldType::ipv6_addr:
      return IpAddress::from_bytes(Family::ipv6, bytes).to_string();
    case FieldType::inet_proto: {
      const auto protocol = protocol_from_number(bytes[0]);
      return protocol ? std::string(to_string(*protocol)) : std::to_string(bytes[0]);
    }
    case FieldType::inet_service:
      return std::to_string(bytes[0] << 8 | bytes[1]);
    case FieldType::ifname: {
      const char* text = reinterpret_cast<const char*>(bytes);
      return '"' + std::string(text, strnlen(text, 16)) + '"';
    }
    case FieldType::mark: {
      std::uint32_t value = 0;
      std::memcpy(&value, bytes, sizeof value);
      std::array<char, 11> text{};
      (void)std::snprintf(text.data(), text.size(), "0x%08x", value);
      return text.data();
    }
    case FieldType::ct_state:
    case FieldType::fib_addrtype:
      break;  // of anonymous sets, which Match has words for
  }
  return {};
}

// Our intervals are prefixes: their first and last address differ in the host bits only.
IpPrefix prefix_between(Family family, const std::uint8_t* first, const std::uint8_t* last) {
  const std::size_t length = address_length(family);
  const std::size_t bits = equal_bits({first, length}, {last, length});
  return {IpAddress::from_bytes(family, first), static_cast<std::uint8_t>(bits)};
}

}  // namespace

const Field& field(FieldType type) {
  return kFields[static_cast<std::size_t>(type)];
}

void Key::add(std::span<const std::uint8_t> field) {
  assert(size_ + padded(field.size()) <= bytes_.size());
  std::copy(field.begin(), field.end(), bytes_.begin() + size_);
  size_ = static_cast<std::uint8_t>(size_ + padded(field.size()));
}

Key claim_key(const PublishedPort& port) {
  Key key;
  if (!port.address.is_any()) add_address(key, port.address);
  add_protocol(key, port.protocol);
  add_port(key, port.port);
  return key;
}

Key service_key(const PublishedPort& port) {
  return claim_key(on_any(port));
}

Key device_key(std::string_view device) {
  std::array<std::uint8_t, 16> name{};
  std::copy_n(device.begin(), std::min(device.size(), name.size() - 1), name.begin());
  Key key;
  key.add(name);
  return key;
}

Key device_user_key(const OwnerHash& hash) {
  return device_key(to_string(hash));
}

std::string parse_device(std::span<const std::uint8_t> bytes) {
  if (bytes.size() != 16) return {};
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  return {text, strnlen(text, bytes.size())};
}

Key target_data(const Endpoint& endpoint) {
  Key data;
  add_address(data, endpoint.address);
  add_port(data, endpoint.port);
  return data;
}

Key owner_key(const OwnerHash& hash, std::uint32_t index) {
  std::array<std::uint8_t, 16> name{};
  std::copy(hash.begin(), hash.end(), name.begin());
  Key key;
  key.add(name);
  key.add(host_number(index));
  return key;
}

Key owner_data(const PublishedPort& port) {
  Key data;
  add_address(data, port.address.mapped());
  add_protocol(data, port.protocol);
  add_port(data, port.port);
  return data;
}

Key standby_data(const Endpoint& endpoint) {
  return target_data({endpoint.address.mapped(), endpoint.port});
}

Key hairpin_key(const IpPrefix& source, const IpPrefix& destination) {
  Key key;
  add_address(key, source.network().address);
  add_address(key, destination.network().address);
  return key;
}

Key hairpin_key_end(const IpPrefix& source, const IpPrefix& destination) {
  Key key;
  add_address(key, source.last());
  add_address(key, destination.last());
  return key;
}

std::optional<OwnerKey> parse_owner_key(std::span<const std::uint8_t> key) {
  if (key.size() != 20) return std::nullopt;
  OwnerKey parsed;
  std::copy_n(key.begin(), parsed.owner.size(), parsed.owner.begin());
  std::memcpy(&parsed.index, key.data() + 16, sizeof parsed.index);
  return parsed;
}

std::optional<PublishedPort> parse_owner_data(std::span<const std::uint8_t> data) {
  if (data.size() != 24) return std::nullopt;
  return parse_service(IpAddress::from_bytes(Family::ipv6, data.data()).unmapped(),
                       data.data() + 16);
}

std::optional<PublishedPort> parse_claim_key(std::span<const std::uint8_t> key, Suffix suffix) {
  const std::size_t before = suffix.scope == AddressScope::one ? address_length(suffix.family) : 0;
  if (key.size() != before + 8) return std::nullopt;
  const IpAddress address = suffix.scope == AddressScope::one
                                ? IpAddress::from_bytes(suffix.family, key.data())
                                : IpAddress::any(suffix.family);
  return parse_service(address, key.data() + before);
}

std::optional<Endpoint> parse_target_data(std::span<const std::uint8_t> data, Family family) {
  const std::size_t before = address_length(family);
  if (data.size() != before + 4) return std::nullopt;
  const auto port = parse_port(data.data() + before);
  if (!port) return std::nullopt;
  return Endpoint{IpAddress::from_bytes(family, data.data()), *port};
}

std::optional<Endpoint> parse_standby_data(std::span<const std::uint8_t> data) {
  std::optional<Endpoint> endpoint = parse_target_data(data, Family::ipv6);
  if (endpoint) endpoint->address = endpoint->address.unmapped();
  return endpoint;
}

std::optional<std::pair<IpPrefix, IpPrefix>> parse_hairpin_key(
    std::span<const std::uint8_t> key, std::span<const std::uint8_t> key_end, Family family) {
  const std::size_t length = address_length(family);
  if (key.size() != 2 * length || key_end.size() != key.size()) return std::nullopt;
  return std::pair(prefix_between(family, key.data(), key_end.data()),
                   prefix_between(family, key.data() + length, key_end.data() + length));
}

std::string format_key(std::span<const FieldType> types, std::span<const std::uint8_t> key) {
  std::string text;
  std::size_t offset = 0;
  for (const FieldType type : types) {
    if (!text.empty()) text += " . ";
    text += format_field(type, key.data() + offset);
    offset += padded(field(type).length);
  }
  return text;
}

std::string format_interval(std::span<const FieldType> types, std::span<const std::uint8_t> key,
                            std::span<const std::uint8_t> key_end) {
  std::string text;
  std::size_t offset = 0;
  for (const FieldType type : types) {
    const Family family = type == FieldType::ipv4_addr ? Family::ipv4 : Family::ipv6;
    const IpPrefix prefix = prefix_between(family, key.data() + offset, key_end.data() + offset);
    if (!text.empty()) text += " . ";
    text += prefix.is_host() ? prefix.address.to_string() : prefix.to_string();
    offset += padded(field(type).length);
  }
  return text;
}

}  // namespace portmapper::nft
