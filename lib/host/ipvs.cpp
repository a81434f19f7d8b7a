#include "lib/host/ipvs.hpp"

#include <unistd.h>

#include <string>

namespace portmapper::host {

bool has_ipvs_device() {
  return access((std::string("/proc/sys/net/ipv4/conf/") + kIpvsDevice).c_str(), F_OK) == 0;
}

}  // namespace portmapper::host
