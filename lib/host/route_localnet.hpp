// route_localnet: lets the host's own 127.0.0.1 reach a container through a published port.
//
//   const Result<Way> way = way_to(address);  // "cni0", by a route lookup
//   const Result<bool> opened = enable_route_localnet(way->device);
//
// Packets from 127.0.0.1 leave the host only where net.ipv4.conf.DEVICE.route_localnet is 1. That
// also lets the device's neighbours send to 127.0.0.0/8 here, which the chain localnet-guard drops
// (CVE-2020-8558): so it must be there first, and only the one device gets the setting.
// Whoever sets it records that (nft's set localnet-devices) and resets it when nobody needs it.
// Errors: mapping_failed naming device or file, with errno. Source: kernel ip-sysctl.rst;
// rtnetlink(7), RTM_GETROUTE.
#pragma once

#include <string>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/ip_address.hpp"
#include "lib/base/netlink.hpp"

namespace portmapper::host {

struct Way {
  std::string device;
  bool is_attached = false;  // the address is a neighbour there: no gateway, not the default route
};
Result<Way> way_to(const IpAddress& address);
Result<Way> way_to(Netlink& route, const IpAddress& address);  // a socket of NETLINK_ROUTE
// The same without the name.
struct WayByIndex {
  unsigned index = 0;
  bool is_attached = false;
};
Result<WayByIndex> way_by_index(Transport& route, const IpAddress& address);
bool has_route_localnet(const std::string& device);
Result<bool> enable_route_localnet(const std::string& device);  // false: it was on already
Status disable_route_localnet(const std::string& device);
// The devices that have it, "all" and "default" included.
std::vector<std::string> devices_with_route_localnet();

}  // namespace portmapper::host
