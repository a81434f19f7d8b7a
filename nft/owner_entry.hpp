// OwnerEntry: one element of map `owners`: an attachment, and one of the ports that it holds.
//
//   const Result<std::vector<OwnerEntry>> owners = read_owners(transport);
//   for (const OwnerEntry& entry : *owners) use(entry.published);  // one for each published port
//
// What all entries of an attachment have in common is in each of them. A table that was saved and
// loaded again has lost all but the comment (and the pod in it), owner and port. Source: packaging/doc/design.md, "The
// ruleset".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lib/base/network_namespace.hpp"
#include "nft/hairpin_tag.hpp"
#include "nft/names.hpp"
#include "nft/published_port.hpp"

namespace portmapper::nft {

struct OwnerEntry {
  OwnerHash owner{};
  std::uint32_t index = 0;
  std::string comment;
  NetworkNamespace netns;
  std::string chain;
  PublishedPort published;
  std::optional<OwnerHash> network{};    // where the comment may not tell
  std::optional<OwnerHash> container{};  // likewise
  std::optional<HairpinWish> wish{};     // nothing: an older version's, or loaded again
  std::optional<Endpoint> standby{};     // where it would lead, while a sibling publishes the port
  Pod pod{};                             // what the container is called
};

bool is_of_network(const OwnerEntry& entry, std::string_view network);

// An element of map `localnet-users`: 127.0.0.0/8 reaches the owner's ports by the device.
struct LocalnetUser {
  OwnerHash owner{};
  std::string comment{};
  std::string device{};

  bool operator==(const LocalnetUser&) const = default;
};

// An element of a claim set.
struct ClaimEntry {
  PublishedPort published;
  std::string comment;
  std::optional<OwnerHash> owner;

  bool operator==(const ClaimEntry&) const = default;
};

}  // namespace portmapper::nft
