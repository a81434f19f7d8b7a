// Names: every name and comment that the kernel sees, in one place; those that a configuration must
// know are in lib/base/table_names.
//
//   claim_set(suffix_of(published));                             // "published-ip"
//   target_map("MESOS-WEB", {Family::ipv6, AddressScope::one});  // "MESOS-WEB-hostip6"
//   container_comment("abc");                                    // "container_id: abc"
//   attachment_comment({"web", "abc", "eth0"}) + pod_comment({"default", "nginx"});
//   // "web/abc/eth0 (default:nginx)"
//
// Comments are at most 128 bytes, nft's limit, so that a listing loads again; what
// does not fit is shortened, and the owner hash keeps the exact identity. Parts that come from
// requests were checked by lib/cni and lib/config, so they need no quoting. Errors: none. Does not
// promise: that a shortened comment is unique. Source: packaging/doc/design.md, "The ruleset".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lib/base/attachment.hpp"
#include "lib/base/connection_label.hpp"
#include "lib/base/table_names.hpp"
#include "nft/published_port.hpp"

namespace portmapper::nft {

inline constexpr char kTable[] = "nft-port-mapper";
inline constexpr char kTableComment[] = "published container ports";
// What leaves containers is masqueraded in a table of its own: hosts without that do not have it.
inline constexpr char kEgressTable[] = "nft-port-mapper-egress";
inline constexpr char kEgressTableComment[] = "masqueraded containers";
const char* table_comment(std::string_view table);
inline constexpr char kOwners[] = "owners";
inline constexpr char kStandby[] = "standby";
inline constexpr char kLocalnetDevices[] = "localnet-devices";
inline constexpr char kLocalnetUsers[] = "localnet-users";
inline constexpr char kLoopbackRoutes[] = "loopback-routes";
inline constexpr char kLoopbackUsers[] = "loopback-users";
using portmapper::kAnyAddress;
using portmapper::kLabel;
using portmapper::kLocalnetGuard;
using portmapper::kLocalnetGuardInput;
using portmapper::kNetworks;
using portmapper::kOutput;
using portmapper::kPostrouting;
using portmapper::kPrerouting;
using portmapper::kSharedChain;

// "ip", "hostip", "ip6", "hostip6"; claim sets and target maps share them.
enum class AddressScope : std::uint8_t { any, one };
struct Suffix {
  Family family;
  AddressScope scope;
};
inline constexpr std::array<Suffix, 4> kSuffixes = {{{Family::ipv4, AddressScope::any},
                                                     {Family::ipv4, AddressScope::one},
                                                     {Family::ipv6, AddressScope::any},
                                                     {Family::ipv6, AddressScope::one}}};
inline Suffix suffix_of(const PublishedPort& port) {
  return {port.address.family(), port.address.is_any() ? AddressScope::any : AddressScope::one};
}

std::string claim_set(Suffix suffix);
std::string target_map(std::string_view chain, Suffix suffix);
std::string loopback_set(Family family);
std::string hairpin_set(Family family);

std::string container_comment(std::string_view container_id);
std::string attachment_comment(const Attachment& attachment);
// The reverse: the attachment of a comment that was not shortened.
bool parse_attachment_comment(std::string_view comment, Attachment& attachment);
// Of one that was shortened, what it still tells: a part that a '/' follows is whole. "?" for others.
Attachment known_parts(std::string_view comment);
// The reverse of container_comment; nothing for one that was shortened.
std::optional<std::string> parse_container_comment(std::string_view comment);
// Whether a comment says so. One that was shortened may not tell; then the owner entry keeps the
// network_hash and the container_hash. So does every one that is longer than kLongComment or than the
// rest of the userdata leaves room for, and every one that looks like it.
bool is_of_network(std::string_view comment, std::string_view network);
inline constexpr std::size_t kLongComment = 90;
inline constexpr std::size_t kMostComment = 128;  // nft's own, of a comment that it reads again
// " (default:nginx)", what follows the comment of an owner entry; empty for an unknown pod.
std::string pod_comment(const Pod& pod);
// The reverse: takes it off the comment, where it is one.
Pod take_pod(std::string& comment);
// "default:nginx", or the name alone.
std::string to_string(const Pod& pod);
Pod parse_pod(std::string_view text);
std::string shortened(std::string text, std::size_t limit);
bool is_shortened(std::string_view comment);  // or, of a name with dots at its end, looks like it
// Of a network chain: "network: web".
std::string network_comment(std::string_view network);

// The name of an attachment in `owners`: "k" and 14 digits of base 32, 70 bits of SHA-256.
using OwnerHash = std::array<char, 15>;
OwnerHash owner_hash(const Attachment& attachment);
inline std::string_view to_string(const OwnerHash& hash) {
  return {hash.data(), hash.size()};
}

OwnerHash network_hash(std::string_view network);
OwnerHash container_hash(std::string_view container_id);

// The chain of a network that needs one of its own but names none.
std::string derived_chain(std::string_view network);

}  // namespace portmapper::nft
