// The interfaces of this network namespace on which packets from outside arrive.
//
//   Result<std::vector<Device>> devices = outer_devices();  // {{"eth0", 2}, {"cni0", 4}}
//
// Not lo, and not the ports of bridges and bonds: their packets arrive on the master. Errors:
// mapping_failed with the errno of the rtnetlink dump. Does not promise: that they are up, or have
// an address. Source: rtnetlink(7), RTM_GETLINK.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/error.hpp"

namespace portmapper::host {

struct Device {
  std::string name;
  std::uint32_t index = 0;
};

Result<std::vector<Device>> outer_devices();

}  // namespace portmapper::host
