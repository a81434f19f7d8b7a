// Networks: whose plugin publishes the ports of a network, as its configuration says today.
//
//   const Networks networks = networks_of({{"/etc/cni/net.d/10-web.conflist", text}}, false);
//   use(networks.at("web").publisher == Publisher::ours);
//
// Runtimes call the DEL of the plugin that is configured then, so ports may be published by ours only where
// that will be ours. `portmap_is_ours`: the program of that name is (lib/host/own_plugin). Where two files
// have a network of one name, ours must be in both. What cannot be parsed is not there. Runtimes read whatever
// has the right name, behind symbolic links too, and of a file that others may write nobody knows what it says
// tomorrow: of the network that it names now, or if it cannot be read of every network, the publisher is
// unsure. A pure function but for read_networks. Errors: of read_networks, unreadable_input for a directory that
// was named. Does not promise: that a runtime reads that directory. Source: CNI SPEC.md section 1;
// libcni/conf.go.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "lib/base/error.hpp"

namespace portmapper::adopt {

enum class Publisher : std::uint8_t { ours, portmap, nobody, unsure };

struct NetworkFile {
  std::string path;
  std::string text;
  std::string distrust{};  // why it may not be relied on
};

struct NetworkSays {
  Publisher publisher = Publisher::nobody;
  std::string path;
  std::string distrust{};  // of `unsure`
};
using Networks = std::map<std::string, NetworkSays>;  // by name; empty: it may be any

Networks networks_of(const std::vector<NetworkFile>& files, bool portmap_is_ours);

// Where runtimes keep configurations; a directory that is not there has none.
std::vector<std::string> usual_network_directories();
Result<std::vector<NetworkFile>> read_networks(const std::vector<std::string>& directories,
                                               bool must_exist);

}  // namespace portmapper::adopt
