// Keyed reading: the elements of many ports, one key each, or in one dump where that is shorter.
//
//   const Status status = read_each(
//       transport, {published}, [](Suffix suffix) { return claim_set(suffix); },
//       [](std::size_t number, const ElementView& element) { use(number, element.data); });
//
// A port without an element is left out; `number` is the port's place. It costs the same whatever
// else the sets hold (property 1 of packaging/doc/design.md): a set is dumped only as far as that takes
// less than to ask for the keys. Errors: as Query. Does not promise: an order. Source: kernel
// nf_tables_api.c (each datagram of a dump walks through the set from its beginning).
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
#include "nft/read/query.hpp"

namespace portmapper::nft {

// Answers come one by one, a socket buffer holds some 200 of them: so many keys at a time.
inline constexpr std::uint32_t kMoreKeys = 128;

// Of fewer keys nobody asks whether a dump takes less, nor of fewer elements whether their keys do.
inline constexpr std::size_t kManyKeys = 1024;

// How many elements a set has, where the kernel tells (Linux 6.16).
Result<std::optional<std::size_t>> count_elements(Transport& transport, const std::string& set);
std::optional<std::size_t> element_count(const nlmsghdr& reply);  // to Query::set

// Reads a set as a whole where that takes less than to ask for `wanted` of its keys. Where the kernel
// does not tell how many elements it has, the dump ends when it has become too long. False: it was not
// worth it, and what was visited is a part.
Result<bool> dump_instead(Transport& transport, const std::string& set, std::size_t wanted,
                          const std::function<void(const ElementView&)>& visit);

using VisitElement = std::function<void(std::size_t number, const ElementView& element)>;
// Asks for `count` elements, `kMoreKeys` at a time; `ask` adds one question with one key.
using AskFor = std::function<void(Query& query, std::size_t number)>;
Status ask_for_each(Transport& transport, std::size_t count, const AskFor& ask,
                    const VisitElement& visit);

using SetOf = std::function<std::string(Suffix)>;
// Hands on the elements of the ports, with the port's number, that are there.
Status read_each(Transport& transport, const std::vector<PublishedPort>& ports, const SetOf& set,
                 const VisitElement& visit);

}  // namespace portmapper::nft
