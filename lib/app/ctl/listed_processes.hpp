// Listed processes: adds to each listed port the processes of the host that listen there.
//
//   Result<std::vector<ListedPort>> ports = list_ports(transport);
//   const Status found = find_host_processes(transport, *ports);
//   for (const app::HostProcess& one : ports->front().processes) use(app::sentence(one));
//
// The kernel's list of sockets is read once for each protocol and family; /proc, and which ports the
// host's loopback reaches, only where somebody listens on one of the ports. Errors: mapping_failed
// where one of them cannot be read; the ports stay as they are. Source: lib/app/host_processes.
#pragma once

#include <vector>

#include "lib/app/ctl/listing.hpp"
#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"

namespace portmapper::ctl {

Status find_host_processes(Transport& transport, std::vector<ListedPort>& ports);

}  // namespace portmapper::ctl
