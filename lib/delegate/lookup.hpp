// find_plugin: the file that a delegate's type names.
//
//   find_plugin("bridge", "/opt/cni/bin:/usr/lib/cni");  // "/opt/cni/bin/bridge"
//
// The first regular file of that name that may be executed, in the order of CNI_PATH. Empty and
// relative parts of CNI_PATH are skipped: a program that runs with our privileges must not depend
// on the directory that the runtime happens to be in. PATH is never used. Errors: delegate_failed,
// with what was searched and what to do. No text here says that something was n-o-t f-o-u-n-d in
// these words: containerd's go-cni treats a DEL that fails with them as successful. The file may
// have changed by the time it is started. Source: CNI SPEC.md section 4 "Plugin Delegation"; go-cni
// cni.go Remove().
#pragma once

#include <string>
#include <string_view>

#include "lib/base/error.hpp"

namespace portmapper::delegate {

Result<std::string> find_plugin(std::string_view type, std::string_view cni_path);

}  // namespace portmapper::delegate
