// Reading for the doctor: the host's way, the containers' namespaces, and test connections.
//
//   Host host;                                        // ports and others are there already
//   const Status read = read_surroundings(host, {}, std::nullopt);
//   try_from_host(host);                              // real connections; some seconds at most
//
// Everything that is read goes into Host, and nothing is judged here. A container's namespace is
// entered for a moment only (lib/host/inside), and one that cannot be is told by its `refusal`. The
// test client is an interface of the host while try_from_outside runs (lib/host/test_client). Units:
// milliseconds to seconds; where many ports do not answer, 1.5 seconds for each 256 of them. Errors:
// of the host's own routing only. Does not promise: that all was so at one moment.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "lib/app/doctor/doctor.hpp"
#include "lib/base/error.hpp"
#include "lib/base/network_namespace.hpp"

namespace portmapper::doctor {

// Ways, settings, interfaces and insides. `namespaces` of the ports' owners, by RoutedPort::netns;
// `from`: the client; nothing: some that stand for all.
Status read_surroundings(Host& host, const std::map<std::uint64_t, NetworkNamespace>& namespaces,
                         const std::optional<IpAddress>& from);

// The trials of all ports, at most so many.
inline constexpr std::size_t kMostTrials = 512;
void try_from_host(Host& host);     // to the containers, and to where the ports are published
void try_from_outside(Host& host);  // from a test client

}  // namespace portmapper::doctor
