// NetworkNamespace: which network namespace an owner lives in, as recorded with the owner.
//
//   NetworkNamespace{.path = "/run/netns/web", .device = 4, .inode = 4026532288, .id = 7};
//
// `id` is the kernel's number that is never used again before a reboot (Linux 6.18 and later), 0
// where the kernel has none; inode numbers are used again. All numbers are in host byte order.
// lib/host reads it and tells whether it still exists. Errors: none; nothing known is all zero.
// Source: namespaces(7), the kernel's include/uapi/linux/nsfs.h.
#pragma once

#include <cstdint>
#include <string>

namespace portmapper {

// What looking for a recorded namespace came to.
enum class NamespaceState : std::uint8_t {
  exists,
  gone,
  unknown,  // nothing was recorded, or we may not look everywhere
};

struct NetworkNamespace {
  std::string path;  // as in CNI_NETNS; empty where it did not fit
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t id = 0;

  [[nodiscard]] bool is_known() const { return inode != 0; }
  bool operator==(const NetworkNamespace&) const = default;
};

}  // namespace portmapper
