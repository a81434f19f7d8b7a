// route_localnet: lets the host's own 127.0.0.1 reach a container through a published port.
//
//   const Result<std::string> device = device_towards(address);  // "cni0", by a route lookup
//   const Status status = enable_route_localnet(*device);
//
// Packets from 127.0.0.1 leave the host only where net.ipv4.conf.DEVICE.route_localnet is 1. That
// also lets the device's neighbours send to 127.0.0.0/8 here, which the chain localnet-guard drops
// (CVE-2020-8558): so it must be there first, and only the one device gets the setting.
// Errors: mapping_failed naming device or file, with errno. It is never reset: other containers
// behind the interface may need it. Source: kernel ip-sysctl.rst; rtnetlink(7), RTM_GETROUTE.
#pragma once

#include <string>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/ip_address.hpp"

namespace portmapper::host {

Result<std::string> device_towards(const IpAddress& address);
Status enable_route_localnet(const std::string& device);
Status disable_route_localnet(const std::string& device);
// The devices that have it, "all" and "default" included.
std::vector<std::string> devices_with_route_localnet();

}  // namespace portmapper::host
