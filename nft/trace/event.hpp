// Event: what the kernel says about a traced packet: which rule or policy it met, with what verdict.
//
//   const std::optional<Event> event = parse_event(reply);  // of the group NFNLGRP_NFTRACE
//   if (event && event->header) use(event->header->destination, event->header->input);
//
// A packet has one number in all its events as long as it does not change its device; the kernel
// makes it of an address, so a later packet may have the same one. The header is there in the first
// event of each base chain, as the packet was when it came to the chain; what a chain translates is
// seen in the next one. Ports are in host byte order and 0 where there are none. Errors: nothing for
// what is no trace event. Does not promise: headers of packets that are neither IPv4 nor IPv6.
// Source: kernel net/netfilter/nf_tables_trace.c, nf_tables.h (NFTA_TRACE_*).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lib/base/attributes.hpp"
#include "lib/base/ip_address.hpp"
#include "nft/foreign/foreign.hpp"

namespace portmapper::nft::trace {

inline constexpr std::uint8_t kIcmp = 1;  // IANA protocol numbers
inline constexpr std::uint8_t kIcmpv6 = 58;

// The devices are indexes; 0: none.
struct Header {
  IpAddress source{};
  IpAddress destination{};
  std::uint8_t protocol = 0;  // IANA number
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint8_t tcp_flags = 0;  // 0x02: SYN, 0x04: RST, 0x10: ACK
  std::uint8_t icmp_type = 0;
  std::uint8_t icmp_code = 0;
  std::uint32_t input = 0;
  std::uint32_t output = 0;

  bool operator==(const Header&) const = default;
};

inline bool is_icmp(const Header& header) {
  return header.protocol == kIcmp || header.protocol == kIcmpv6;
}

struct Event {
  enum class Kind : std::uint8_t {
    rule,    // a rule that the packet fulfilled, with its verdict
    leave,   // the end of a chain, or a rule that says return
    policy,  // no rule of the base chain decided
  };
  std::uint32_t packet = 0;
  Kind kind = Kind::rule;
  foreign::Name chain{};
  std::uint64_t handle = 0;  // of the rule
  foreign::Verdict verdict{};
  std::optional<Header> header{};
};

std::optional<Event> parse_event(const nlmsghdr& message);

}  // namespace portmapper::nft::trace
