// Foreign: chains, rules and sets of every table, as far as they are understood.
//
//   for (const auto& [name, chain] : others.chains)  // of read_ruleset()
//     if (chain.hook && chain.hook->number == NF_INET_FORWARD) use(walk(others, chain, packet));
//
// A rule is a list of conditions and a verdict. A condition is "this part of the packet is one of
// these values"; what we do not understand keeps nft's word for it and no values, and is neither
// true nor false. Values are bytes as the kernel compares them: network order, but host order for
// numbers that the host has (states, types, indexes). What a rule does besides is kept as far as it
// decides about connections and their way (Deed); counters are not. Tables of iptables-legacy are here
// too; a rule of theirs has its number in place of a handle. Errors: none. Source: kernel
// nf_tables.h; nft --debug=netlink.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/bytes.hpp"
#include "lib/base/ip_address.hpp"
#include "lib/base/port.hpp"

namespace portmapper::nft::foreign {

enum class PacketField : std::uint8_t {
  opaque,
  nfproto,            // 1 byte: NFPROTO_IPV4
  ether_type,         // 2 bytes
  l4proto,            // 1 byte
  iif,                // 4 bytes, host order: an index
  oif,                //
  iifname,            // 16 bytes, filled with NUL
  oifname,            //
  ibrname,            // 16 bytes, filled with NUL: the bridge
  obrname,            //
  ip_saddr,           // 4 bytes
  ip_daddr,           //
  ip6_saddr,          // 16 bytes
  ip6_daddr,          //
  sport,              // 2 bytes
  dport,              //
  tcp_flags,          // 1 byte
  ct_state,           // 4 bytes, host order: nft's bits
  ct_status,          // 4 bytes, host order: IPS_*
  ct_direction,       // 1 byte
  ct_original_dport,  // 2 bytes: before the translation
  daddr_type,         // 4 bytes, host order: RTN_LOCAL
  // Of a route by the interface that the packet came by, to its source.
  reverse_presence,  // 4 bytes, host order: 1, there is one
  reverse_oif,       // 4 bytes, host order: its interface's index; 0: there is none
};

using Blob = std::vector<std::uint8_t>;

// A part of the packet, as a rule loads it.
struct Operand {
  PacketField field = PacketField::opaque;
  std::string text;        // nft's word: "iifname", "limit"
  std::size_t length = 0;  // bytes compared; from the field's beginning
  Blob mask{};             // of "field and mask"; empty: the whole field
  // How people write the values, where the field does not say: numbers in network order or the
  // host's, marks in hexadecimal, 0 and 1 as "missing" and "exists".
  enum class Form : std::uint8_t { by_field, number, host_number, mark, presence };
  Form form = Form::by_field;

  bool operator==(const Operand&) const = default;
};

struct Verdict {
  enum class Kind : std::uint8_t {
    none,  // the next rule
    accept,
    drop,
    reject,
    queue,  // a program decides
    leave,  // return
    jump,
    go,  // goto
    translate,
    masquerade,  // or snat
    divert,      // to another device, or to a process of the host
  };
  Kind kind = Kind::none;
  std::string chain{};  // of jump and go
};

struct Element {
  Blob first;
  Blob last;  // of a concatenation: each of its fields filled to 4 bytes, as in `first`
  Verdict verdict{};
};

struct Condition {
  std::vector<Operand> key;  // more than one: a concatenation
  std::vector<Element> values{};
  std::string set{};  // of a lookup; then `values` are there
  bool inverted = false;
};

// What a rule does to packets that go on.
struct Deed {
  enum class Kind : std::uint8_t {
    untrack,  // notrack
    zone,     // ct zone set
    rewrite,  // tcp dport set 81
    mark,     // meta mark set 9
  };
  Kind kind = Kind::untrack;
  // Of a zone, where the rule says one for packets of both directions.
  std::optional<std::uint16_t> zone{};
  Operand field{};  // of rewrite
  // Of a mark: it is what was there before, as far as `kept` covers it, XOR `mark`. Nothing: the rule
  // takes it from somewhere.
  std::optional<std::uint32_t> mark{};
  std::uint32_t kept = 0;

  bool operator==(const Deed&) const = default;
};

struct Rule {
  std::uint64_t handle = 0;
  std::vector<Condition> conditions{};
  Verdict verdict{};
  std::optional<Condition> verdict_map{};  // instead of `verdict`: that of the element
  std::vector<Deed> deeds{};
  std::optional<IpAddress> target{};  // of translate, where the rule says one
  std::optional<Port> target_port{};  // likewise
  std::string comment{};              // nft's, or that of iptables
};

struct TableId {
  std::uint8_t family = 0;  // NFPROTO_*
  std::string name;
  bool is_legacy = false;  // of iptables-legacy, outside nf_tables
  auto operator<=>(const TableId&) const = default;
};

struct Hook {
  std::string type;          // "nat"
  std::uint32_t number = 0;  // NF_INET_*; of netdev NF_NETDEV_*
  std::int32_t priority = 0;
  bool policy_drop = false;
  std::vector<std::string> devices{};  // of ingress and egress
};

struct Chain {
  TableId table;
  std::string name;
  std::uint64_t handle = 0;
  std::optional<Hook> hook{};
  std::vector<Rule> rules{};
};

struct Set {
  std::size_t key_length = 0;
  bool is_interval = false;
  std::vector<Element> elements{};  // the one for everything else ("*") comes last
};

using Name = std::pair<TableId, std::string>;  // of a chain or set

struct Ruleset {
  std::map<Name, Chain> chains;
  std::map<Name, Set> sets;
};

std::string to_string(const TableId& table);  // "ip nat", "ip nat of iptables-legacy"
// "iifname \"eth0\"", "ip saddr @blocked": a condition in nft's words, as far as they are known.
std::string to_string(const Condition& condition);
// "tcp . 8080": an element as nft reads it; nothing where a part of the key has no such form.
std::optional<std::string> to_string(const Element& element, const std::vector<Operand>& key);

inline Blob blob_of(Bytes bytes) {
  return {bytes.begin(), bytes.end()};
}

}  // namespace portmapper::nft::foreign
