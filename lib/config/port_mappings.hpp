// The two lists of port mappings that a configuration may carry, read into one.
//
//   PortMappings mappings(problems);
//   mappings.read(root.member("runtimeConfig").member("portMappings"), kRuntimeConfigKeys);
//   const std::vector<PortMapping> all = std::move(mappings).take();
//
// Notes every entry that ADD refuses, and two entries that publish one port to different places;
// identical entries are kept once. An entry without host address publishes the port on any address
// of both families, so it meets an entry for 0.0.0.0 or :: as well; an entry for one address does
// not meet one for any, since the address wins. The time for n entries is that of sorting them.
// Ports are in host byte order. Errors: in `problems`; the entries noted are left out. Does not
// promise: that the container has an address of the family of a hostIP. Source: CNI CONVENTIONS.md
// (portMappings), Mesos' cni.md, tests/inputs/README.md.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "lib/base/attachment.hpp"
#include "lib/json/read.hpp"

namespace portmapper::config {

// What the members of an entry are called; matched without regard to case.
struct MappingKeys {
  std::string_view host_port;
  std::string_view container_port;
  std::string_view protocol;
  std::string_view host_ip;  // empty where the form has none
};

constexpr MappingKeys kRuntimeConfigKeys{"hostPort", "containerPort", "protocol", "hostIP"};
constexpr MappingKeys kMesosKeys{"host_port", "container_port", "protocol", {}};

class PortMappings {
 public:
  explicit PortMappings(json::Problems& problems) : problems_(problems) {}

  void read(const json::Value& list, const MappingKeys& keys);
  // In the order of the lists.
  std::vector<PortMapping> take() &&;

 private:
  struct Entry {
    PortMapping mapping;
    json::Value source;
    bool is_kept = true;
  };

  void read_entry(const json::Value& entry, const MappingKeys& keys);
  void find_overlaps();
  void compare(std::size_t a, std::size_t b);
  void note_conflicts();

  json::Problems& problems_;
  std::vector<Entry> entries_;
  std::vector<std::pair<std::size_t, std::size_t>> conflicts_;  // the later entry, the earlier
};

}  // namespace portmapper::config
