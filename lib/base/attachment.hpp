// Attachment, Pod and PortMapping: what a runtime asks about, in the words of the design.
//
//   Attachment{"web", "abc", "eth0"};
//   Pod{.space = "default", .name = "nginx"};
//   PortMapping{.host_address = {},  // any
//               .host_port = *Port::from(8080), .container_port = *Port::from(80)};
//
// All are plain values; lib/cni and lib/config check what comes from a runtime. Ports are in host
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

// What the container is called by who had it made: a pod's namespace and name, or podman's container.
// Only people and list read it; no decision does.
struct Pod {
  std::string space;  // Kubernetes's namespace; may be empty
  std::string name;   // empty: nobody said

  [[nodiscard]] bool is_known() const { return !name.empty(); }
  bool operator==(const Pod&) const = default;
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
