// LoopbackState: what of the host lets 127.0.0.1 and ::1 reach published ports, as it is now.
//
//   Result<Netlink> route = Netlink::open(NETLINK_ROUTE);
//   LoopbackState before = read_loopback_state(*route, loopback_devices(contents));
//   if (read_loopback_state(*route, {"cni0"}) != before) use(before.size());
//
// The kernel tells nobody when route_localnet or bridge-nf-call-ip6tables changes, nor that a bridge's own
// setting did, so whoever wants to know looks again: a few files and requests for each interface that
// leads to containers. Errors: what cannot be read is as if it were not there. Does not promise: why
// something changed. Source: kernel net/ipv4/devinet.c, devinet_conf_proc, which sends no message for
// route_localnet.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "lib/app/ctl/table_contents.hpp"
#include "lib/base/netlink.hpp"
#include "lib/host/loopback_route.hpp"

namespace portmapper::ctl {

struct DeviceState {
  bool has_route_localnet = false;
  bool has_route = false;  // of ::1
  std::optional<host::LoopbackObstacle> obstacle{};

  bool operator==(const DeviceState&) const = default;
};
using LoopbackState = std::map<std::string, DeviceState>;  // by device

// Those that the table's records name, and those that lead to ports that ::1 could reach.
std::set<std::string> loopback_devices(const TableContents& contents);
LoopbackState read_loopback_state(Transport& route, const std::set<std::string>& devices);

}  // namespace portmapper::ctl
