#include "lib/host/ipvs.hpp"

#include <fcntl.h>

#include <string>

#include "lib/base/unique_fd.hpp"

namespace portmapper::host {

bool has_ipvs_device() {
  const std::string path = std::string("/proc/sys/net/ipv4/conf/") + kIpvsDevice;
  return static_cast<bool>(UniqueFd(open(path.c_str(), O_PATH | O_CLOEXEC)));
}

}  // namespace portmapper::host
