// Uplinks: by which interfaces clients come that are not neighbours, and which ports an interface has.
//
//   const Result<Uplinks> uplinks = read_uplinks();
//   use(uplinks->default_devices);         // {"eth0"}: of IPv4's default routes, of every table
//   use(uplinks->ports_of.at("br0"));      // {"eth1", "veth3"}: also of bonds and VRFs
//
// Each name once, sorted. Errors: mapping_failed with the errno of an rtnetlink dump. Does not
// promise: that a default route is the one that any packet takes. Source: rtnetlink(7), RTM_GETLINK,
// RTM_GETROUTE.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "lib/base/error.hpp"

namespace portmapper::host {

struct Uplinks {
  std::vector<std::string> default_devices{};
  std::vector<std::string> default_devices6{};
  std::map<std::string, std::vector<std::string>> ports_of{};
};

Result<Uplinks> read_uplinks();

}  // namespace portmapper::host
