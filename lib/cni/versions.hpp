// The CNI versions this plugin speaks, oldest first.
//
//   is_supported("1.0.0");                     // true
//   version_at_least("0.4.0", "0.4.0");        // true: has CHECK
//
// Errors: an unsupported version is `false`, and never guessed. Source: CNI SPEC.md, "Released
// versions".
#pragma once

#include <array>
#include <string_view>

namespace portmapper::cni {

constexpr std::array<std::string_view, 7> kCniVersions = {"0.1.0", "0.2.0", "0.3.0", "0.3.1",
                                                          "0.4.0", "1.0.0", "1.1.0"};
constexpr std::string_view kNewestCniVersion = kCniVersions.back();
constexpr std::string_view kOldestCniVersion = kCniVersions.front();  // a config without cniVersion

bool is_supported(std::string_view version);
// Both must be supported versions.
bool version_at_least(std::string_view version, std::string_view minimum);

}  // namespace portmapper::cni
