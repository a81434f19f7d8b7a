#include "lib/base/port.hpp"

#include <strings.h>

#include <array>

namespace portmapper {
namespace {

constexpr std::array kProtocols = {Protocol::tcp, Protocol::udp, Protocol::sctp};

}  // namespace

std::optional<Protocol> parse_protocol(std::string_view text) {
  for (const Protocol protocol : kProtocols) {
    const std::string_view name = to_string(protocol);
    if (name.size() == text.size() && strncasecmp(name.data(), text.data(), name.size()) == 0)
      return protocol;
  }
  return std::nullopt;
}

std::optional<Protocol> protocol_from_number(std::uint8_t number) {
  for (const Protocol protocol : kProtocols)
    if (static_cast<std::uint8_t>(protocol) == number) return protocol;
  return std::nullopt;
}

std::string_view to_string(Protocol protocol) {
  switch (protocol) {
    case Protocol::tcp:
      return "tcp";
    case Protocol::udp:
      return "udp";
    case Protocol::sctp:
      return "sctp";
  }
  return "unknown";
}

}  // namespace portmapper
