// Userdata: what an element or a rule of ours carries in addition to what the kernel uses.
//
//   const std::string bytes = encode(ElementData{.comment = "web/abc/eth0", .netns = netns});
//   const auto* first = reinterpret_cast<const std::uint8_t*>(bytes.data());
//   const ElementData data = parse_element_data({first, bytes.size()});
//
// Layout: type (1 byte), length (1 byte), value; numbers big-endian. Type 0 is nft's comment, which
// it lists; the others are ours, and nft skips them. So a table that was saved with `nft list` and
// loaded again has lost ours: everything that reads them works without them. At most 254 bytes in
// all, which is what the kernel takes: a comment is shortened for it, and a namespace path left out.
// A pod's name follows the comment where both fit nft's own limit, is a type of its own where that
// leaves room for it, and is left out elsewhere; `comment` is always without it.
// Errors: what cannot be parsed is not there. Source: libnftnl udata.h, kernel nf_tables.h.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "lib/base/network_namespace.hpp"
#include "nft/hairpin_tag.hpp"
#include "nft/names.hpp"

namespace portmapper::nft {

struct ElementData {
  std::string comment{};
  std::optional<OwnerHash> owner{};  // on claims: whose
  NetworkNamespace netns{};          // on owner entries
  std::string chain{};               // on owner entries: prefix of the target maps
  std::uint8_t hairpin = 0;  // on owner entries: see nft/hairpin_tag; 0: DEL removes no pairs
  std::optional<HairpinWish> wish{};  // on owner entries
  bool restored = false;              // on owner entries: made by restore, not by an ADD
  std::uint32_t count = 0;            // on owner entries: how many there are of this owner
  std::optional<OwnerHash>
      network{};  // on owner entries whose comment was shortened: whose network
  std::optional<OwnerHash> container{};  // likewise, and on standby elements: whose container
  Pod pod{};                             // on owner entries: what the container is called

  bool operator==(const ElementData&) const = default;
};

std::string encode(const ElementData& data);
// Of an owner entry whose comment will not tell: whose network and container, by their hashes.
void keep_identity(ElementData& owner, const Attachment& attachment);
std::size_t room_for_comment(const ElementData& data);  // the longest that is not shortened
ElementData parse_element_data(std::span<const std::uint8_t> bytes);

std::string encode_comment(std::string_view comment);             // for the table
std::string listed_comment(std::span<const std::uint8_t> bytes);  // as nft shows it, with the pod

// On network chains: whose the chain is, and what it restricts. A saved and loaded listing keeps the
// comment alone.
struct ChainOwner {
  std::string comment{};  // "network: web"; empty: nobody's
  std::optional<OwnerHash> network{};
  std::optional<std::uint64_t> restrictions{};  // see nft/ruleset

  bool operator==(const ChainOwner&) const = default;
};
std::string encode(const ChainOwner& owner);
ChainOwner parse_chain_owner(std::span<const std::uint8_t> bytes);

// On rules of network chains, beside the fingerprint: which rule it is, of how many. So a rule that is
// gone leaves a gap, whatever the network's configuration.
struct RulePlace {
  std::uint32_t number = 0;  // from 1; 0: it does not say
  std::uint32_t count = 0;

  bool operator==(const RulePlace&) const = default;
};

std::string encode_rule_tag(std::uint64_t fingerprint, RulePlace place = {});
std::uint64_t parse_rule_tag(std::span<const std::uint8_t> bytes);  // 0: not a rule of ours
RulePlace parse_rule_place(std::span<const std::uint8_t> bytes);

}  // namespace portmapper::nft
