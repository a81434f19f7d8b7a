#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/listed_processes.hpp"
#include "lib/app/ctl/listing.hpp"

namespace portmapper::ctl {

app::Outcome list(const Arguments& arguments) {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return failure(netlink.error());
  Result<std::vector<ListedPort>> ports = list_ports(*netlink);
  if (!ports) return failure(ports.error());
  const auto network = arguments.value("--network");
  const auto container = arguments.value("--container");
  std::erase_if(*ports, [&](const ListedPort& port) {
    return (network && !is_of_network(port, *network)) ||
           (container && !is_of_container(port, *container));
  });
  app::Outcome outcome;
  // The ports are what was asked for, and are shown without.
  if (const Status found = find_host_processes(*netlink, *ports); !found)
    outcome.log = log_lines({found.error().message()});
  outcome.out = arguments.has("--json") ? format_json(*ports)
                                        : format_table(*ports, arguments.has("--no-trunc"));
  outcome.watch = arguments.has("--watch");
  return outcome;
}

}  // namespace portmapper::ctl
