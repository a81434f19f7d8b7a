// Port and Protocol: the other two parts of a published port.
//
//   const std::optional<Port> port = Port::from(8080);
//   parse_protocol("UDP") == Protocol::udp;
//
// A Port is 1..65535 in host byte order; what writes it into a key or an attribute turns it into
// network order. A Protocol's value is its IP protocol number. Errors: nothing for a number or a
// name that is neither. Source: IANA protocol numbers; CNI's portMappings convention.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>

namespace portmapper {

class Port {
 public:
  static std::optional<Port> from(std::int64_t value) {
    if (value < 1 || value > 65535) return std::nullopt;
    return Port(static_cast<std::uint16_t>(value));
  }
  [[nodiscard]] std::uint16_t value() const { return value_; }
  auto operator<=>(const Port&) const = default;

 private:
  explicit Port(std::uint16_t value) : value_(value) {}
  std::uint16_t value_;
};

enum class Protocol : std::uint8_t { tcp = 6, udp = 17, sctp = 132 };

std::optional<Protocol> parse_protocol(std::string_view text);  // any letter case
std::optional<Protocol> protocol_from_number(std::uint8_t number);
std::string_view to_string(Protocol protocol);

}  // namespace portmapper
