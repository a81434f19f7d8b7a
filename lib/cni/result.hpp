// The addresses that a CNI result gives to the container's interface.
//
//   const auto addresses = container_addresses(text, "eth0", "prevResult");
//
// Reads every form: ip4/ip6 (0.1.0, 0.2.0), ips with `version` (0.3.x, 0.4.0), ips of 1.x. With an
// interfaces list, only addresses of the interface named `ifname` inside a sandbox count, never a
// host-side interface's. In the order of the result. Errors: invalid_input that names the key path
// and value. Does not promise: that the address is on the interface. Source: CNI SPEC.md section 5.
#pragma once

#include <string_view>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/ip_address.hpp"

namespace portmapper::cni {

// `what` names the document in errors: "prevResult", or "the result of delegate bridge".
Result<std::vector<IpPrefix>> container_addresses(std::string_view result_json,
                                                  std::string_view ifname, std::string_view what);

}  // namespace portmapper::cni
