// What a delegate prints, and prevResult, of every version: the addresses of the container.
#include "lib/cni/result.hpp"

#include <algorithm>

#include "nft/plan.hpp"
#include "tests/fuzz/round_trip.hpp"

using namespace portmapper;
using namespace portmapper::cni;
using namespace portmapper::nft;
using namespace portmapper::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = text_of(data, size);
  // What a delegate that failed printed is handed on in our own error.
  demand_json(error_object(
      "1.0.0", {ErrorKind::delegate_failed, "delegate ADD failed", "p", 0, std::string(text)}));
  const Result<std::vector<IpPrefix>> addresses = container_addresses(text, "eth0", "prevResult");
  if (!addresses) {
    demand_error(addresses.error());
    return 0;
  }
  for (const IpPrefix& address : *addresses)
    demand(IpPrefix::parse(address.to_string()) == address, "an address reads again",
           address.to_string());
  const Port port = *Port::from(8080);
  const Plan plan = make_plan({.attachment = {"web", "abc", "eth0"},
                               .chain = {"WEB", {}},
                               .mappings = {{std::nullopt, Protocol::tcp, port, port}},
                               .addresses = *addresses});
  demand(plan.translations.empty() == addresses->empty(), "a port leads to every address", text);
  if (!plan.translations.empty()) demand_round_trip(plan);
  return 0;
}
