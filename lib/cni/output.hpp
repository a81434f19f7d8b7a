// What the plugin prints on stdout that is not a delegate's own result: error and version objects.
//
//   error_object("1.0.0", error);  // {"cniVersion":"1.0.0","code":103,"msg":"...","details":"..."}
//   version_object("1.0.0");       // {"cniVersion":"1.0.0","supportedVersions":[...]}
//
// Each ends in a line feed. Text that came in is escaped, control characters and invalid UTF-8
// included. Errors: none. Source: CNI SPEC.md section 5.
#pragma once

#include <string>
#include <string_view>

#include "lib/base/error.hpp"

namespace portmapper::cni {

int cni_code(ErrorKind kind);
std::string error_object(std::string_view cni_version, const Error& error);
std::string version_object(std::string_view cni_version);

}  // namespace portmapper::cni
