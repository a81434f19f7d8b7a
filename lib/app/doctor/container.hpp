// Inside: what is in the network namespace of a container, as far as its ports depend on it.
//
//   Inside inside;                         // read_insides() fills it
//   inside.interfaces, inside.addresses;   // its own
//   inside.listeners;                      // who waits for somebody there
//
// Errors: `refusal` says why nobody could look; then the rest is empty. Does not promise: that what
// runs in the container is one container; a pod shares its namespace. Source: lib/host/inside.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lib/base/port.hpp"
#include "lib/host/interfaces.hpp"
#include "lib/host/listeners.hpp"
#include "nft/foreign/foreign.hpp"

namespace portmapper::doctor {

struct Inside {
  std::string path{};
  std::string refusal{};
  std::vector<host::Interface> interfaces{};
  std::vector<host::InterfaceAddress> addresses{};
  std::set<Protocol> listed{};  // whose listeners are known
  std::vector<host::Listener> listeners{};
  nft::foreign::Ruleset rules{};             // of iptables-legacy too
  std::vector<std::string> unread_tables{};  // of iptables-legacy
};

}  // namespace portmapper::doctor
