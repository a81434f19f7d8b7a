// dump_elements and peek_elements: the elements of one set, in one dump of it.
//
//   const Status status =
//       dump_elements(transport, kOwners, [](const ElementView& element) { use(element.key); });
//
// peek_elements ends the dump when there is enough, as Transport::peek. A set that does not exist has no
// element. Errors: as Query. Does not promise: an order. Source: kernel nf_tables_api.c.
#pragma once

#include <functional>
#include <string>

#include "lib/base/netlink.hpp"
#include "nft/read/element_view.hpp"

namespace portmapper::nft {

Status dump_elements(Transport& transport, const std::string& set,
                     const std::function<void(const ElementView&)>& visit);
Status peek_elements(Transport& transport, const std::string& set,
                     const std::function<void(const ElementView&)>& visit,
                     const IsEnough& is_enough);

}  // namespace portmapper::nft
