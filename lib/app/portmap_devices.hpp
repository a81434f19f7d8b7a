// portmap_devices: those devices by which containers of the CNI project's portmap are reached.
//
//   const std::vector<std::string> open = {"cni0", "lan0"};
//   const auto needed = portmap_devices(transport, open);
//   if (needed && needed->contains("cni0")) use("its route_localnet stays");
//
// portmap sets route_localnet too, writes that down nowhere, and never resets it: whoever resets it on a device
// that a container of portmap's is attached to takes its ports from 127.0.0.1. Of rules in iptables-legacy it is not
// asked where they lead: where they are, or cannot be read, it needs all. IPv4 alone. Errors: mapping_failed where
// portmap's rules cannot be read; none without a device. Does not promise: to know of others who set it.
// Source: containernetworking/plugins, plugins/meta/portmap; packaging/doc/design.md, "Host effects".
#pragma once

#include <set>
#include <span>
#include <string>

#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"

namespace portmapper::app {

Result<std::set<std::string>> portmap_devices(Transport& transport,
                                              std::span<const std::string> devices);

}  // namespace portmapper::app
