#include "nft/foreign/legacy_reader.hpp"

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fstream>

#include "lib/base/unique_fd.hpp"
#include "nft/foreign/legacy.hpp"

namespace portmapper::nft::foreign {
namespace {

struct Question {
  Family family;
  int level;
  int info;
  int entries;
};

constexpr std::array kQuestions = {
    Question{Family::ipv4, IPPROTO_IP, IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES},
    Question{Family::ipv6, IPPROTO_IPV6, IP6T_SO_GET_INFO, IP6T_SO_GET_ENTRIES}};

static_assert(sizeof(ipt_getinfo) == sizeof(ip6t_getinfo) &&
              sizeof(ipt_get_entries) == sizeof(ip6t_get_entries));

// The table may change between the two questions; then the kernel says EAGAIN.
bool ask_for(const UniqueFd& socket, const Question& question, LegacyTable& table) {
  constexpr int kTries = 10;
  for (int i = 0; i < kTries; ++i) {
    ipt_getinfo info{};
    socklen_t length = sizeof info;
    table.name.copy(info.name, sizeof info.name - 1);
    if (getsockopt(socket.get(), question.level, question.info, &info, &length) != 0) return false;
    std::vector<std::uint8_t> buffer(sizeof(ipt_get_entries) + info.size);
    std::memcpy(buffer.data() + offsetof(ipt_get_entries, name), info.name, sizeof info.name);
    std::memcpy(buffer.data() + offsetof(ipt_get_entries, size), &info.size, sizeof info.size);
    length = static_cast<socklen_t>(buffer.size());
    if (getsockopt(socket.get(), question.level, question.entries, buffer.data(), &length) == 0) {
      table.valid_hooks = info.valid_hooks;
      std::copy(std::begin(info.hook_entry), std::end(info.hook_entry), table.hook_entry.begin());
      std::copy(std::begin(info.underflow), std::end(info.underflow), table.underflow.begin());
      table.entries.assign(buffer.begin() + sizeof(ipt_get_entries), buffer.end());
      return true;
    }
    if (errno != EAGAIN) return false;
  }
  return false;
}

void read_family(const Question& question, LegacyTables& tables) {
  UniqueFd socket;
  for (const std::string& name : legacy_table_names(question.family)) {
    if (!socket)
      socket = UniqueFd(::socket(question.family == Family::ipv4 ? AF_INET : AF_INET6,
                                 SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
    LegacyTable table{.family = question.family, .name = name};
    std::vector<Chain> chains;
    if (!socket || !ask_for(socket, question, table) || !parse_legacy(table, chains)) {
      tables.unread.push_back((question.family == Family::ipv4 ? "ip " : "ip6 ") + name);
      continue;
    }
    for (Chain& chain : chains) {
      Name key(chain.table, chain.name);
      tables.chains.emplace(std::move(key), std::move(chain));
    }
  }
}

}  // namespace

std::vector<std::string> legacy_table_names(Family family) {
  std::ifstream list(family == Family::ipv4 ? "/proc/thread-self/net/ip_tables_names"
                                            : "/proc/thread-self/net/ip6_tables_names");
  std::vector<std::string> names;
  for (std::string name; std::getline(list, name);) names.push_back(name);
  return names;
}

LegacyTables read_legacy() {
  LegacyTables tables;
  for (const Question& question : kQuestions) read_family(question, tables);
  return tables;
}

}  // namespace portmapper::nft::foreign
