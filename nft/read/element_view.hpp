// ElementView: one element of a reply of the kernel, in place.
//
//   for_each_element(reply, [](const ElementView& element) { use(element.key); });
//
// The spans point into the reply and live as long as it. Bytes as in nft/key and nft/userdata.
// Errors: an attribute that is missing or malformed is an empty span. Source: kernel nf_tables.h.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "lib/base/attributes.hpp"

namespace portmapper::nft {

struct ElementView {
  Bytes key;
  Bytes key_end;  // of intervals
  Bytes data;
  Bytes userdata;
  std::string_view chain{};   // of a verdict: where it jumps or goes to
  std::uint64_t packets = 0;  // of its counter, where it has one
};

void for_each_element(const nlmsghdr& reply, const std::function<void(const ElementView&)>& visit);
// The same for an event of the kernel that elements were deleted.
void for_each_deleted_element(const nlmsghdr& event,
                              const std::function<void(const ElementView&)>& visit);

}  // namespace portmapper::nft
