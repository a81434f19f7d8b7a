// Cures: commands against what other tables do, who keeps those tables, and where a change to them
// lasts.
//
//   Finding finding;
//   finding.command = accept_command(others, chain, "forward", 7, translated_match());
//   // "nft insert rule inet filter forward handle 7 ct status dnat accept"
//   finding.keep = keep_of(others, chain);
//   // "it lasts until the ruleset is loaded again; write it into /etc/nftables.conf, ..."
//
// No command where a name in it is not plain, and none that deletes what a living program made: a
// keeper is told by the names that it gives, which is enough to refrain from a deletion and would not
// be enough for one. Errors: an empty text. Does not promise: that a file of that name is the one
// that this host loads. Source: nft(8), iptables(8), firewalld.conf(5), ufw-framework(8).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/app/doctor/doctor.hpp"

namespace portmapper::doctor {

// "table ip filter, chain FORWARD, rule handle 7"; of iptables-legacy "rule number 7".
std::string place(const nft::foreign::TableId& table, const std::string& chain, std::uint64_t rule);
bool are_plain(const nft::foreign::TableId& table, const std::string& chain);
std::string joined(const std::vector<std::string>& texts, const char* between);

// The program whose rules these are: "kube-proxy"; empty: nobody's that is known.
std::string_view keeper_of(const nft::foreign::TableId& table, std::string_view chain);

// Tables that iptables shows: it cannot read one any more that has rules it could not have written.
bool is_of_iptables(const nft::foreign::Chain& base);
// "iptables-nft -t filter", "ip6tables-legacy -t raw"
std::string iptables_of(const nft::foreign::TableId& table);

// Accepts, right before the rule or at the chain's end (handle 0), what a match of nft means; in
// tables of iptables the same in its words.
struct Wording {
  std::string nft;
  std::string iptables{};
};
std::string accept_command(const nft::foreign::Ruleset& others, const nft::foreign::Chain& base,
                           const std::string& chain, std::uint64_t handle, const Wording& match);
// Every connection that anybody translates.
Wording translated_match();
// By the ports that they have there, the host's or the containers'; by the source's in answers.
Wording port_match(const std::vector<const RoutedPort*>& ports, bool is_answer, bool by_host_port);
// Of a rule that a command writes into that chain, or removes from its table.
enum class Change : std::uint8_t { written, removed };
std::string keep_of(const nft::foreign::Ruleset& others, const nft::foreign::Chain& base,
                    Change change = Change::written);

}  // namespace portmapper::doctor
