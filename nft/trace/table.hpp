// The table that makes the kernel trace a port: what chooses the packets, and what marks their way.
//
//   const Wish wish{.protocol = Protocol::tcp, .port = *Port::from(8080), .count = 1};
//   const Status installed = install(transport, table_name(4711), wish);
//   // nft monitor trace, or nft/trace/event on the group NFNLGRP_NFTRACE
//   const Status removed = remove(transport, table_name(4711));
//
//   table inet nft-port-mapper-trace-4711 {
//     flags owner
//     set lifetime { type inet_proto; flags timeout; elements = { tcp timeout 2m } }
//     set asked { type inet_service; flags dynamic,timeout; }   # clients' ports, for their answers
//     chain request { limit rate 1/day burst 1 packets add @asked { th sport } meta nftrace set 1 }
//     chain answer { limit rate 1/day burst 8 packets meta nftrace set 1 }
//     chain prerouting-first { type filter hook prerouting priority -2147483647; ... goto request }
//     chain prerouting-last { type filter hook prerouting priority 2147483647; }
//     ...
//   }
//
// Chosen are packets that begin a connection to the port (TCP: SYN, SCTP: INIT, UDP: any) for an
// address of this host, before everything that could drop or change them, and the answers to them,
// as conntrack tells. No rule of it drops, changes or marks anything. The empty chains at both ends
// of each hook make an event where a packet comes and where it goes on, whatever tables there are.
// The kernel deletes the table with the socket that made it (Linux 5.12), so a killed program leaves
// nothing; and after the lifetime no packet is chosen, whatever becomes of the program: the protocol
// is an element that times out. Errors: mapping_failed with the errno of the batch. Does not promise:
// packets that a netdev or bridge chain, or a chain at the lowest priority, drops before. Source:
// kernel nf_tables_api.c (nft_rcv_nl_event), nft_limit.c, nft_dynset.c; nft --debug=netlink.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/ip_address.hpp"
#include "lib/base/netlink.hpp"
#include "lib/base/port.hpp"
#include "nft/netlink_message.hpp"

namespace portmapper::nft::trace {

inline constexpr std::chrono::seconds kLifetime{120};

struct Wish {
  Protocol protocol;
  Port port;
  std::optional<IpAddress> from{};     // only of this client
  std::vector<IpAddress> addresses{};  // published, whether the host has them or not
  std::uint32_t count = 1;             // of packets that begin a connection
  bool answers = true;                 // by conntrack, which they make the kernel use
};

std::string table_name(int process);        // "nft-port-mapper-trace-4711"
bool is_table_name(std::string_view name);  // of any process

// What an event in a chain of the table says.
struct Mark {
  enum class Kind : std::uint8_t {
    request,  // the packet was chosen
    answer,   // likewise
    first,    // it comes to the hook
    last,     // it goes on behind the hook
  };
  Kind kind;
  std::uint32_t hook = 0;  // NF_INET_*; of first and last
};
std::optional<Mark> mark_of(std::string_view chain);

// The batch, as the kernel takes it. `owned`: the table goes with the socket that sends it.
Messages encode_table(const std::string& table, const Wish& wish, bool owned);

// Where the kernel knows no owners, the table is not owned.
Status install(Transport& transport, const std::string& table, const Wish& wish);
Status remove(Transport& transport, const std::string& table);

}  // namespace portmapper::nft::trace
