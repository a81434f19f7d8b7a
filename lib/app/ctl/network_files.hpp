// Network files: what libcni reads of a directory of networks, in its order.
//
//   const Result<std::vector<std::string>> files = network_files(kNetworkDirectory);
//   if (files && !files->empty()) use(files->front());  // "/etc/cni/net.d/10-flannel.conflist"
//
// Runtimes of Kubernetes use the first one. What is no regular file, behind links, is left out. Errors: unreadable_input naming the directory, with the errno.
// Source: containernetworking/cni libcni/conf.go, ConfFiles.
#pragma once

#include <string>
#include <vector>

#include "lib/base/error.hpp"

namespace portmapper::ctl {

inline constexpr char kNetworkDirectory[] = "/etc/cni/net.d";

Result<std::vector<std::string>> network_files(const std::string& directory);

}  // namespace portmapper::ctl
