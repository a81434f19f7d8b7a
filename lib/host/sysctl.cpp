#include "lib/host/sysctl.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <charconv>

#include "lib/base/unique_fd.hpp"

namespace portmapper::host {

std::optional<std::int64_t> read_sysctl(const std::string& name) {
  const UniqueFd file(open(("/proc/sys/" + name).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return std::nullopt;
  std::array<char, 32> text{};
  const ssize_t length = read(file.get(), text.data(), text.size());
  if (length <= 0) return std::nullopt;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + length, value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

namespace {

bool has(unsigned capability) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  if (syscall(SYS_capget, &header, data.data()) != 0) return false;
  return (data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability)) != 0;
}

}  // namespace

bool may_administer_network() {
  return has(CAP_NET_ADMIN);
}

bool may_see_processes() {
  return has(CAP_SYS_PTRACE);
}

bool may_enter_namespaces() {
  return has(CAP_SYS_ADMIN) && has(CAP_SYS_CHROOT);
}

}  // namespace portmapper::host
