#include "nft/published_port.hpp"

namespace portmapper::nft {
namespace {

std::string with_port(const IpAddress& address, Port port) {
  const bool brackets = address.family() == Family::ipv6;
  return (brackets ? "[" : "") + address.to_string() + (brackets ? "]:" : ":") +
         std::to_string(port.value());
}

}  // namespace

PublishedPort on_any(const PublishedPort& port) {
  return {IpAddress::any(port.address.family()), port.protocol, port.port};
}

std::string to_string(const PublishedPort& port) {
  return with_port(port.address, port.port) + "/" + std::string(to_string(port.protocol));
}

std::string to_string(const Endpoint& endpoint) {
  return with_port(endpoint.address, endpoint.port);
}

}  // namespace portmapper::nft
