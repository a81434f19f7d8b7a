// Exposure: interfaces whose route_localnet is set without our guard: their neighbours reach services
// on the host's 127.0.0.1 (CVE-2020-8558).
//
//   const Result<std::vector<std::string>> exposed = exposed_devices(transport);
//   for (const std::string& device : *exposed) use(device);  // "cni0"
//
// Judged whether or not there is a table: `nft flush ruleset` takes guard and record away, and leaves
// the setting. "all" and "default" are never ours, so they count only beside a table, whose guard is
// to come back; nor are devices of portmap's containers, which need the setting, and never had a guard. Errors: mapping_failed as nft/read/reader. Does not promise: to know who set it.
// Source: packaging/doc/design.md, "Host effects"; kernel ip-sysctl.rst.
#pragma once

#include <string>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"
#include "nft/owner_entry.hpp"

namespace portmapper::app {

Result<std::vector<std::string>> exposed_devices(Transport& transport);

// Those with a route of ::1 that ADDs of ours made, and no record of it: it opens nothing, and nobody
// needs it.
Result<std::vector<std::string>> left_routes(Transport& transport);

// The devices with route_localnet that may be ours: those that portmap's containers need are not.
Result<std::vector<std::string>> open_devices(Transport& transport);

bool is_reachable_by_localnet(const nft::PublishedPort& port);  // by 127.0.0.0/8
// By which device 127.0.0.0/8 reaches the owners of claims that were made before this was recorded.
Result<std::vector<nft::LocalnetUser>> localnet_users_of(
    Transport& transport, const std::vector<nft::ClaimEntry>& claims);

// What a person should know of it. With a table, its guard is put back; without one nobody needs the
// setting.
std::string exposure_of(const std::string& device);
std::string left_route_of(const std::string& device);

}  // namespace portmapper::app
