#include "lib/host/legacy_nat.hpp"

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <vector>

#include "lib/base/legacy_tables.hpp"
#include "lib/base/unique_fd.hpp"

namespace portmapper::host {
namespace {

constexpr char kNat[] = "nat";

// The entries of the table; empty where they cannot be read. The table may change between the two
// questions, which have the same numbers in both families.
std::vector<std::uint8_t> read_entries(Family family) {
  const bool is_v4 = family == Family::ipv4;
  const UniqueFd socket(::socket(is_v4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  const int level = is_v4 ? IPPROTO_IP : IPPROTO_IPV6;
  constexpr int kTries = 10;
  for (int i = 0; socket && i < kTries; ++i) {
    ipt_getinfo info{};
    socklen_t length = sizeof info;
    std::memcpy(info.name, kNat, sizeof kNat);
    if (getsockopt(socket.get(), level, IPT_SO_GET_INFO, &info, &length) != 0) return {};
    std::vector<std::uint8_t> buffer(sizeof(ipt_get_entries) + info.size);
    std::memcpy(buffer.data() + offsetof(ipt_get_entries, name), kNat, sizeof kNat);
    std::memcpy(buffer.data() + offsetof(ipt_get_entries, size), &info.size, sizeof info.size);
    length = static_cast<socklen_t>(buffer.size());
    if (getsockopt(socket.get(), level, IPT_SO_GET_ENTRIES, buffer.data(), &length) == 0)
      return buffer;
    if (errno != EAGAIN) return {};
  }
  return {};
}

}  // namespace

LegacyChain look_for_legacy_chain(Family family, const std::string& chain) {
  const Result<bool> has_nat = has_legacy_nat(family);
  // Root alone may read the list; whoever runs us without that runs no iptables-legacy, which wants root too.
  if (!has_nat || !*has_nat) return LegacyChain::none;
  const std::vector<std::uint8_t> entries = read_entries(family);
  if (entries.empty()) return LegacyChain::unknown;
  // A chain begins behind an entry whose target has its name, with a NUL; jumps have offsets.
  const std::string_view name(chain.c_str(), chain.size() + 1);
  return std::search(entries.begin(), entries.end(), name.begin(), name.end()) == entries.end()
             ? LegacyChain::none
             : LegacyChain::there;
}

}  // namespace portmapper::host
