// Ways: the trace's events, put together to the way of each packet through the hooks, and its end.
//
//   Ways ways("nft-port-mapper-trace-4711", Chains());  // of nft/foreign's read_every_chain
//   if (const auto event = nft::trace::parse_event(reply)) ways.see(*event);
//   use(end_of(ways.packets().front()).fate);           // Fate::dropped
//   use(ways.answer_to(0));  // the number of the first answer; nothing: none came
//
// A pure function of the events: no clock, no kernel. A packet begins where our table chooses it. It
// has a new number behind a bridge with br_netfilter and behind lo; there it is known by its
// addresses and ports. Passages are the hooks in the order in which it comes through them; visits are
// the base chains in which something was evaluated there, without ours. Errors: none; events of
// packets that somebody else traces are passed over. Does not promise: packets of which the kernel
// lost events. Source: nft/trace/table for what marks the way; kernel net/ipv4/ip_forward.c,
// ip_input.c, ip_output.c for what lies between the hooks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nft/trace/event.hpp"

namespace portmapper::trace {

using nft::trace::Event;
using nft::trace::Header;
using nft::trace::is_icmp;
using Chains = std::map<nft::foreign::Name, nft::foreign::Chain>;

struct Visit {
  nft::foreign::Name chain;                  // the base chain
  std::optional<nft::foreign::Hook> hook{};  // nothing: the chain was made meanwhile
  std::vector<Event> steps{};                // the last one decided
};

struct Passage {
  std::uint32_t hook = 0;   // NF_INET_*, which are NF_BR_* too
  std::uint8_t family = 0;  // NFPROTO_INET, NFPROTO_BRIDGE, NFPROTO_NETDEV
  Header before{};
  std::optional<Header> behind{};  // nothing: it did not come to the end of the hook
  std::vector<Visit> visits{};
};

struct Packet {
  bool is_answer = false;
  Header begin{};
  Header now{};
  std::vector<Passage> passages{};
};

enum class Fate : std::uint8_t {
  dropped,    // by the last step of a visit
  queued,     // a rule gave it to a program, and nothing more was seen
  left,       // behind postrouting: to the device of its last header
  delivered,  // behind input: to a socket of the host, if there is one
  vanished,   // in a hook, where no rule of nftables dropped it
  unrouted,   // behind a hook: the network stack did not bring it to the next one
};

struct End {
  Fate fate = Fate::vanished;
  std::size_t passage = 0;  // where; a packet has one at least
  std::size_t visit = 0;    // of dropped and queued
};
End end_of(const Packet& packet);

// The visit whose rule translated the destination, in this passage; nothing: none did.
const Visit* translator_of(const Passage& passage);

class Ways {
 public:
  Ways(std::string own_table, Chains chains)
      : own_table_(std::move(own_table)), chains_(std::move(chains)) {}

  // The number of the packet that the event is about.
  std::optional<std::size_t> see(const Event& event);
  [[nodiscard]] const std::vector<Packet>& packets() const { return packets_; }
  // The numbers of the packets that began connections.
  [[nodiscard]] std::vector<std::size_t> requests() const;
  [[nodiscard]] std::optional<std::size_t> answer_to(std::size_t request) const;

 private:
  std::optional<std::size_t> find(const Event& event) const;
  void mark(Packet& packet, const Event& event);
  void step(Packet& packet, const Event& event);
  Passage& passage(Packet& packet, std::uint32_t hook, std::uint8_t family, bool begins);
  [[nodiscard]] bool is_own(const Event& event) const;

  std::string own_table_;
  Chains chains_;
  std::vector<Packet> packets_;
  std::map<std::uint32_t, std::size_t> open_;  // by the kernel's number
  std::map<std::uint32_t, Header> heads_;
};

}  // namespace portmapper::trace
