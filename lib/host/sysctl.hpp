// Sysctls of this network namespace, and what this process may do there.
//
//   std::optional<std::int64_t> value = read_sysctl("net/ipv4/ip_forward");  // 1
//
// Names are paths below /proc/sys, since a device's name may have a '.'. Errors: nothing for what
// does not exist, cannot be read or is no number (its module is not loaded, say). Source: proc(5),
// kernel ip-sysctl.rst; capabilities(7), capget(2).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace portmapper::host {

std::optional<std::int64_t> read_sysctl(const std::string& name);

// CAP_NET_ADMIN, which every change of the ruleset needs.
bool may_administer_network();

// CAP_SYS_PTRACE, without which the namespaces of most processes cannot be told.
bool may_see_processes();

// CAP_SYS_ADMIN and CAP_SYS_CHROOT, without which nobody enters another mount namespace.
bool may_enter_namespaces();

}  // namespace portmapper::host
