#include "lib/host/route_localnet.hpp"

#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "lib/base/attributes.hpp"
#include "lib/base/netlink.hpp"
#include "lib/base/unique_fd.hpp"
#include "lib/base/write_all.hpp"
#include "lib/host/interfaces.hpp"
#include "lib/host/open_files.hpp"
#include "lib/host/route_request.hpp"

namespace portmapper::host {
namespace {

Error no_route(const IpAddress& address, int error_number) {
  return mapping_failed("cannot find the route to", address.to_string(), error_number);
}

constexpr char kConf[] = "/proc/sys/net/ipv4/conf/";

// A device name has no '/' and is not "..", so the path stays below conf/.
std::string path_of(const std::string& device) {
  return kConf + device + "/route_localnet";
}

// Whether that changed it.
Result<bool> set(const std::string& device, char wanted) {
  const std::string path = path_of(device);
  const auto failed = [&] {
    return mapping_failed(std::string("cannot set to ") + wanted, path, errno);
  };
  UniqueFd file(open(path.c_str(), O_RDWR | O_CLOEXEC));
  const int refused = file ? 0 : errno;
  // Where /proc/sys can only be read, that is no failure if nothing has to change.
  if (!file) file = UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char value = 0;
  // Read first: a write would be logged as a change by those who watch sysctls.
  if (file && read(file.get(), &value, 1) == 1 && value == wanted) return false;
  if (refused != 0) errno = refused;
  if (refused != 0 || lseek(file.get(), 0, SEEK_SET) != 0 || !write_all(file.get(), {&wanted, 1}))
    return failed();
  return true;
}

}  // namespace

Result<Way> way_to(const IpAddress& address) {
  Result<Netlink> netlink = Netlink::open(NETLINK_ROUTE);
  if (!netlink) return netlink.error();
  return way_to(*netlink, address);
}

Result<WayByIndex> way_by_index(Transport& transport, const IpAddress& address) {
  RouteRequest request = route_request_for(address, RTM_F_FIB_MATCH);
  WayByIndex way;
  const Result<int> refused = request.send_about(
      transport, [&address] { return "the route to " + address.to_string(); },
      [&way](const nlmsghdr& reply) {
        if (reply.nlmsg_type != RTM_NEWROUTE) return;
        const Attributes attributes(message_attributes(reply, sizeof(rtmsg)));
        if (const auto device = attributes.find(RTA_OIF)) way.index = device->raw<unsigned>();
        const auto* const found = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&reply));
        way.is_attached =
            found->rtm_dst_len > 0 && !attributes.find(RTA_GATEWAY) && !attributes.find(RTA_VIA);
      });
  if (!refused) return refused.error();
  if (*refused != 0) return no_route(address, *refused);
  if (way.index == 0) return no_route(address, ENODEV);
  return way;
}

Result<Way> way_to(Netlink& route, const IpAddress& address) {
  const Result<WayByIndex> way = way_by_index(route, address);
  if (!way) return way.error();
  std::string name = interface_name(route, way->index);
  if (name.empty())
    return mapping_failed("cannot determine the interface towards", address.to_string());
  return Way{std::move(name), way->is_attached};
}

bool has_route_localnet(const std::string& device) {
  const UniqueFd file(open(path_of(device).c_str(), O_RDONLY | O_CLOEXEC));
  char value = 0;
  return file && read(file.get(), &value, 1) == 1 && value == '1';
}

Result<bool> enable_route_localnet(const std::string& device) {
  return set(device, '1');
}

Status disable_route_localnet(const std::string& device) {
  if (!has_route_localnet(device)) return {};  // closed, or gone
  const Result<bool> closed = set(device, '0');
  return closed ? Status() : closed.error();
}

std::vector<std::string> devices_with_route_localnet() {
  std::vector<std::string> devices;
  const OpenDirectory directory(opendir(kConf));
  while (const dirent* entry = directory ? readdir(directory.get()) : nullptr) {
    const std::string device = entry->d_name;
    if (has_route_localnet(device)) devices.push_back(device);
  }
  std::sort(devices.begin(), devices.end());
  return devices;
}

}  // namespace portmapper::host
