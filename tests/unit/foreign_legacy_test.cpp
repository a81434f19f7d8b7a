// nft/foreign/legacy: tables of iptables-legacy, from bytes written by hand.
#include <doctest/doctest.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <linux/netfilter_ipv4/ip_tables.h>

#include <cstring>

#include "nft/foreign/legacy.hpp"

using namespace portmapper;
using namespace portmapper::nft::foreign;

namespace {

template <typename T>
void append(Blob& bytes, const T& value) {
  const auto* first = reinterpret_cast<const std::uint8_t*>(&value);
  bytes.insert(bytes.end(), first, first + sizeof value);
}

// A match or a target: its head, and its info filled to 8 bytes.
Blob extension(const char* name, Bytes info, std::uint8_t revision = 0) {
  Blob data(info.begin(), info.end());
  data.resize((data.size() + 7) / 8 * 8);
  xt_entry_target head{};
  head.u.user.target_size = static_cast<std::uint16_t>(sizeof head + data.size());
  std::strncpy(head.u.user.name, name, sizeof head.u.user.name - 1);
  head.u.user.revision = revision;
  Blob bytes;
  append(bytes, head);
  bytes.insert(bytes.end(), data.begin(), data.end());
  return bytes;
}

template <typename T>
Blob extension_of(const char* name, const T& info, std::uint8_t revision = 0) {
  return extension(name, {reinterpret_cast<const std::uint8_t*>(&info), sizeof info}, revision);
}

Blob standard(std::int32_t verdict) {
  return extension_of("", verdict);
}

void add_entry(Blob& bytes, ipt_entry entry, const Blob& matches, const Blob& target) {
  entry.target_offset = static_cast<std::uint16_t>(sizeof entry + matches.size());
  entry.next_offset = static_cast<std::uint16_t>(entry.target_offset + target.size());
  append(bytes, entry);
  bytes.insert(bytes.end(), matches.begin(), matches.end());
  bytes.insert(bytes.end(), target.begin(), target.end());
}

std::uint32_t end_of(const Blob& bytes) {
  return static_cast<std::uint32_t>(bytes.size());
}

std::string printed(const std::vector<nft::foreign::Chain>& chains) {
  std::string text;
  for (const nft::foreign::Chain& chain : chains) {
    text += to_string(chain.table) + " " + chain.name;
    if (chain.hook)
      text += " " + chain.hook->type + " " + std::to_string(chain.hook->number) + " " +
              std::to_string(chain.hook->priority) + (chain.hook->policy_drop ? " drop" : "");
    for (const nft::foreign::Rule& rule : chain.rules) {
      text += "\n  " + std::to_string(rule.handle);
      for (const Condition& condition : rule.conditions) text += " " + to_string(condition) + ";";
      text += " " + std::to_string(static_cast<int>(rule.verdict.kind)) + rule.verdict.chain;
      if (rule.target) text += " " + rule.target->to_string();
    }
    text += "\n";
  }
  return text;
}

std::string kind(Verdict::Kind one) {
  return std::to_string(static_cast<int>(one));
}

constexpr std::int32_t kAccept = -NF_ACCEPT - 1;
constexpr std::int32_t kDrop = -NF_DROP - 1;

}  // namespace

TEST_CASE("legacy: base chains, a chain that is jumped to, their rules and the policy") {
  LegacyTable table{.name = "filter", .valid_hooks = 1U << NF_INET_FORWARD};
  ipt_entry from{};
  const std::array<std::uint8_t, 4> net = {10, 22, 0, 0};
  const std::array<std::uint8_t, 4> mask = {255, 240, 0, 0};
  std::memcpy(&from.ip.src, net.data(), net.size());
  std::memcpy(&from.ip.smsk, mask.data(), mask.size());
  std::strcpy(from.ip.iniface, "eth");
  std::memset(from.ip.iniface_mask, 0xff, 3);
  std::strcpy(from.ip.outiface, "cni0");
  std::memset(from.ip.outiface_mask, 0xff, 5);
  from.ip.invflags = IPT_INV_VIA_OUT;
  Blob& bytes = table.entries;
  // The chain of the user begins behind 3 entries of FORWARD and its own head.
  const std::size_t plain = sizeof(ipt_entry) + standard(0).size();
  const Blob head = extension("ERROR", Blob{'m', 'i', 'n', 'e', 0}, 0);
  const auto begin = static_cast<std::int32_t>(3 * plain + sizeof(ipt_entry) + head.size());
  add_entry(bytes, from, {}, standard(begin));
  ipt_entry tcp{};
  tcp.ip.proto = IPPROTO_TCP;
  add_entry(bytes, tcp, {}, standard(static_cast<std::int32_t>(2 * plain)));  // without a target
  table.underflow[NF_INET_FORWARD] = end_of(bytes);
  add_entry(bytes, {}, {}, standard(kDrop));
  add_entry(bytes, {}, {}, head);
  xt_tcp ports{{0, 0xffff}, {80, 443}, 0, 0, 0, XT_TCP_INV_DSTPT};
  add_entry(bytes, tcp, extension_of("tcp", ports), standard(kAccept));
  add_entry(bytes, {}, extension("recent", Blob(8)), standard(kDrop));
  add_entry(bytes, {}, {}, standard(XT_RETURN));
  add_entry(bytes, {}, {}, extension("ERROR", Blob{'E', 0}));
  std::vector<nft::foreign::Chain> chains;
  REQUIRE(parse_legacy(table, chains));
  CHECK(printed(chains) ==
        "ip filter of iptables-legacy FORWARD filter 2 0 drop\n"
        "  1 ip saddr 10.16.0.0/12; iifname \"eth*\"; oifname != \"cni0\"; " +
            kind(Verdict::Kind::jump) + "mine\n  2 meta l4proto tcp; " + kind(Verdict::Kind::none) +
            "\nip filter of iptables-legacy mine\n  1 meta l4proto tcp; dport != 80-443; " +
            kind(Verdict::Kind::accept) + "\n  2 -m recent; " + kind(Verdict::Kind::drop) +
            "\n  3 " + kind(Verdict::Kind::leave) + "\n");
  // Cut anywhere, it is not a table.
  for (std::size_t length = 1; length < bytes.size(); ++length) {
    LegacyTable cut = table;
    cut.entries.resize(length);
    std::vector<nft::foreign::Chain> some;
    (void)parse_legacy(cut, some);
  }
  table.underflow[NF_INET_FORWARD] = static_cast<std::uint32_t>(begin);
  chains.clear();
  CHECK_FALSE(parse_legacy(table, chains));
}

TEST_CASE("legacy: a translation and where it leads") {
  LegacyTable table{.name = "nat", .valid_hooks = 1U << NF_INET_PRE_ROUTING};
  nf_nat_ipv4_multi_range_compat range{};
  range.rangesize = 1;
  range.range[0].flags = NF_NAT_RANGE_MAP_IPS;
  const std::array<std::uint8_t, 4> address = {10, 22, 0, 9};
  std::memcpy(&range.range[0].min_ip, address.data(), address.size());
  add_entry(table.entries, {}, {}, extension_of("DNAT", range));
  table.underflow[NF_INET_PRE_ROUTING] = end_of(table.entries);
  add_entry(table.entries, {}, {}, standard(kAccept));
  add_entry(table.entries, {}, {}, extension("ERROR", Blob{'E', 0}));
  std::vector<nft::foreign::Chain> chains;
  REQUIRE(parse_legacy(table, chains));
  CHECK(printed(chains) == "ip nat of iptables-legacy PREROUTING nat 0 -100\n  1 " +
                               kind(Verdict::Kind::translate) + " 10.22.0.9\n");
}
