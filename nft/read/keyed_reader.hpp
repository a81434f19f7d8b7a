// Keyed reading: the elements of many ports, one key each, or in one dump where that is shorter.
//
//   const Status status = read_each(
//       transport, {published}, [](Suffix suffix) { return claim_set(suffix); },
//       [](std::size_t number, const ElementView& element) { use(number, element.data); });
//
// A port without an element is left out; `number` is the port's place. It costs the same whatever
// else the sets hold (property 1 of packaging/doc/design.md): a set is dumped only where it has not
// many more elements than are asked for. Errors: as Query. Does not promise: an order. Source: kernel
// nf_tables_api.c.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/netlink.hpp"
#include "nft/names.hpp"
#include "nft/published_port.hpp"
#include "nft/read/element_view.hpp"

namespace portmapper::nft {

// Answers come one by one, a socket buffer holds some 200 of them: so many keys at a time.
inline constexpr std::uint32_t kMoreKeys = 128;

// How many elements a set has, where the kernel tells (Linux 6.16).
Result<std::optional<std::size_t>> count_elements(Transport& transport, const std::string& set);

// Whether to read a set as a whole takes less than to ask for so many of its keys: where it has not
// many more.
Result<bool> is_better_dumped(Transport& transport, const std::string& set, std::size_t wanted);

using SetOf = std::function<std::string(Suffix)>;
using VisitElement = std::function<void(std::size_t number, const ElementView& element)>;
// Hands on the elements of the ports, with the port's number, that are there.
Status read_each(Transport& transport, const std::vector<PublishedPort>& ports, const SetOf& set,
                 const VisitElement& visit);

}  // namespace portmapper::nft
