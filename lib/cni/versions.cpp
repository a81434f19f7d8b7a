#include "lib/cni/versions.hpp"

#include <algorithm>

namespace portmapper::cni {

bool is_supported(std::string_view version) {
  return std::find(kCniVersions.begin(), kCniVersions.end(), version) != kCniVersions.end();
}

bool version_at_least(std::string_view version, std::string_view minimum) {
  return std::find(kCniVersions.begin(), kCniVersions.end(), version) >=
         std::find(kCniVersions.begin(), kCniVersions.end(), minimum);
}

}  // namespace portmapper::cni
