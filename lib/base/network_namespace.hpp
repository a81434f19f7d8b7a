// NetworkNamespace: which network namespace an owner lives in, as recorded with the owner; and
// LifeSigns: what looking for that owner on this host came to.
//
//   NetworkNamespace{.path = "/run/netns/web", .device = 4, .inode = 4026532288, .id = 7};
//   LifeSigns{.netns = NamespaceState::gone};  // nft/decide says what that means
//
// `id` is the kernel's number that is never used again before a reboot (Linux 6.18 and later), 0
// where the kernel has none; inode numbers are used again. `cookie` is such a number too, that of
// SO_NETNS_COOKIE (Linux 5.14 and later): it can be had in the namespace only, so it is 0 where the
// id was there without that, or nobody might enter. All numbers are in host byte order.
// lib/host reads them and looks for life. Errors: none; nothing known is all zero.
// Source: namespaces(7), the kernel's include/uapi/linux/nsfs.h and net/core/net_namespace.c.
#pragma once

#include <cstdint>
#include <string>

namespace portmapper {

// Where a record was made, or a look is taken: the inode numbers of the PID namespace and of the
// mount namespace. From elsewhere not the same tasks and mounts are seen.
struct Observer {
  std::uint64_t pid_namespace = 0;
  std::uint64_t mount_namespace = 0;

  [[nodiscard]] bool is_known() const { return pid_namespace != 0 && mount_namespace != 0; }
  bool operator==(const Observer&) const = default;
};

struct NetworkNamespace {
  std::string path;  // as in CNI_NETNS; empty where it did not fit
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t id = 0;
  std::uint64_t cookie = 0;
  Observer observer{};  // who recorded it

  [[nodiscard]] bool is_known() const { return inode != 0; }
  bool operator==(const NetworkNamespace&) const = default;
};

// What looking for the recorded namespace came to. `gone` and `empty` are proofs, the others not.
enum class NamespaceState : std::uint8_t {
  unrecorded,  // an older table, or one that was loaded with nft -f
  exists,      // a task is in it, or whether there is one could not be told
  empty,       // mounts or descriptors alone keep it: no task is in it
  gone,
  unknown,  // not found, by a look that does not see everything
};

// Where the addresses of the owner's endpoints are. `nowhere` is a proof, `unknown` is not.
enum class AddressState : std::uint8_t {
  inside,     // in the recorded namespace
  elsewhere,  // in other namespaces alone
  nowhere,    // in no namespace of this host
  unknown,
};

struct LifeSigns {
  NamespaceState netns = NamespaceState::unknown;
  AddressState addresses = AddressState::unknown;

  bool operator==(const LifeSigns&) const = default;
};

}  // namespace portmapper
