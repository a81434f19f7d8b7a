// Faults: where the kernel's routing lost the packets of published ports, and whose.
//
//   for (const auto& [place, sufferers] : sufferers_of(Host()))
//     use(place.fault, place.device, sufferers.ports);
//
// The first fault on each way counts: what comes behind it is not judged. A fault that all ways of a
// port have is a problem, one that only some clients meet is a note. All clients and ports that meet
// the same are at one place. Errors: none. Source: the table of errnos in lib/host/route_lookup.
#pragma once

#include <compare>
#include <map>
#include <string>
#include <vector>

#include "lib/app/doctor/doctor.hpp"

namespace portmapper::doctor {

enum class Fault : std::uint8_t {
  none,
  filtered,     // rp_filter
  unforwarded,  // IPv4: the interface does not forward
  unreachable,  // a route of that type, ...
  prohibited,
  blackhole,
  no_route,
  local,   // the host itself has the destination's address
  detour,  // it leaves by an interface behind which the container is not
};

enum class Leg : std::uint8_t { request, back, answer };

struct FaultPlace {
  Fault fault = Fault::none;
  Leg leg = Leg::request;
  std::string device{};  // by which the packets come in; of a detour: by which they leave
  // The endpoint, where requests are lost on the way to it; empty: what the interface does to all.
  std::string endpoint{};

  auto operator<=>(const FaultPlace&) const = default;
};

struct Sufferers {
  Finding::Level level = Finding::Level::note;
  std::vector<std::string> ports{};
  std::vector<std::string> clients{};
  std::vector<std::string> endpoints{};  // the first is that of the first client's way
  std::string expected{};                // of a detour: the interface that leads to the container
  Mark mark{};                           // that the first client's packets were routed with
  std::string owner{};                   // of one of them
  std::uint64_t netns = 0;
};

Fault fault_of(const Host& host, const Crossing& crossing);
std::map<FaultPlace, Sufferers> sufferers_of(const Host& host);

// "requests to 0.0.0.0:8080/tcp", "replies of ... to clients as 192.0.2.2"
std::string packets_of(const FaultPlace& place, const Sufferers& sufferers);

// The container's interface that has the endpoint's address, and what it hangs on here. Null
// pointers: not known, or not there.
struct Link {
  const Inside* inside = nullptr;             // it was entered
  const host::Interface* within = nullptr;    // in the container
  const host::Interface* host_end = nullptr;  // of the veth pair
  const host::Interface* master = nullptr;    // of that: a bridge, a VRF, ...
  // By which packets to the container leave the host; null where that cannot be told.
  [[nodiscard]] const host::Interface* towards() const;
};
Link link_of(const Host& host, const RoutedPort& port);
// That of an interface in there, by its index.
Link link_by(const Host& host, const Inside& inside, std::uint32_t index);

}  // namespace portmapper::doctor
