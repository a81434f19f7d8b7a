// Standby reader: the elements of map `standby`, which say where an owner entry would lead.
//
//   std::vector<StandbyElement> standby;
//   for_each_element(reply, [&](const ElementView& element) { add_standby(standby, element); });
//   take_standby(installed, standby);
//
// Key as that of owner entries (nft/key), data an endpoint. Errors: none; an element that cannot be
// parsed is not there. Does not promise: that an owner entry stands for each. Source:
// packaging/doc/design.md, "Siblings".
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nft/read/element_view.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::nft {

struct StandbyElement {
  OwnerHash owner{};
  std::uint32_t index = 0;
  Endpoint endpoint;
  std::string comment{};
  std::optional<OwnerHash> container{};
};

void add_standby(std::vector<StandbyElement>& standby, const ElementView& element);

// Puts the elements of its own to its ports, and notes who else of its container stands by.
void take_standby(InstalledPorts& installed, std::span<const StandbyElement> standby);
// Each to its owner entry.
void give_standby(Owners& owners, const std::vector<StandbyElement>& standby);

}  // namespace portmapper::nft
