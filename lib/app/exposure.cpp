#include "lib/app/exposure.hpp"

#include "lib/host/route_localnet.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::app {

Result<std::vector<std::string>> exposed_devices(Transport& transport) {
  const Result<bool> guarded = nft::has_guard(transport);
  if (!guarded) return guarded.error();
  if (*guarded) return std::vector<std::string>();
  const Result<bool> table = nft::has_table(transport);
  if (!table) return table.error();
  std::vector<std::string> devices = host::devices_with_route_localnet();
  if (!*table)
    std::erase_if(devices, [](const std::string& device) {
      return device == "all" || device == "default" || device == "lo";
    });
  return devices;
}

std::string exposure_of(const std::string& device) {
  return "device " + device +
         " has route_localnet without the guard: its neighbours reach the host's 127.0.0.1";
}

}  // namespace portmapper::app
