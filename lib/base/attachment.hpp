// Attachment and PortMapping: what a runtime asks about, in the words of the design.
//
//   Attachment{"web", "abc", "eth0"};
//   PortMapping{.host_address = {},  // any
//               .host_port = *Port::from(8080), .container_port = *Port::from(80)};
//
// Both are plain values; lib/cni and lib/config check what comes from a runtime. Ports are in host
// byte order. Errors: none. Source: CNI SPEC.md section 2 "attachment"; the portMappings convention
// of CNI's CONVENTIONS.md.
#pragma once

#include <compare>
#include <optional>
#include <string>

#include "lib/base/ip_address.hpp"
#include "lib/base/port.hpp"

namespace portmapper {

// The unit of ADD and DEL.
struct Attachment {
  std::string network;
  std::string container_id;
  std::string ifname;

  auto operator<=>(const Attachment&) const = default;
};

// One entry of portMappings or port_mappings.
struct PortMapping {
  // Nothing: any address of both families. 0.0.0.0 or ::, any address of that family.
  std::optional<IpAddress> host_address;
  Protocol protocol = Protocol::tcp;
  Port host_port;
  Port container_port;

  bool operator==(const PortMapping&) const = default;
};

}  // namespace portmapper
