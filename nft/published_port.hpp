// PublishedPort and Endpoint: the two sides of a target map.
//
//   PublishedPort{IpAddress::any(Family::ipv4), Protocol::tcp, *Port::from(8080)};  // any address
//   Endpoint{*IpAddress::parse("10.22.0.2"), *Port::from(80)};
//
// An any-address published port belongs to one family: publishing on all addresses is two of them.
// Ports are in host byte order. Errors: none. Source: packaging/doc/design.md, "Vocabulary".
#pragma once

#include <compare>
#include <string>

#include "lib/base/ip_address.hpp"
#include "lib/base/port.hpp"

namespace portmapper::nft {

struct PublishedPort {
  IpAddress address;  // 0.0.0.0 and :: mean any local address of the family
  Protocol protocol;
  Port port;

  auto operator<=>(const PublishedPort&) const = default;
};

struct Endpoint {
  IpAddress address;
  Port port;

  auto operator<=>(const Endpoint&) const = default;
};

// The same port on any address of its family.
PublishedPort on_any(const PublishedPort& port);

std::string to_string(const PublishedPort& port);  // "192.0.2.1:8080/tcp", "[::]:8080/tcp"
std::string to_string(const Endpoint& endpoint);   // "10.22.0.2:80", "[fd00::2]:80"

}  // namespace portmapper::nft
