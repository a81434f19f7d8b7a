// Listing: every published port of this host, with what an operator wants to know of it.
//
//   const Result<std::vector<ListedPort>> ports = list_ports(transport);
//   for (const ListedPort& port : *ports) use(port.published, to_string(port.owner));
//
// Sorted by protocol, port, address. `connections` counts new connections since the port was
// published. Names come from the kernel's comments, where whoever has CAP_NET_ADMIN can write, so
// control characters are replaced before they reach a terminal.
// Errors: mapping_failed as nft/read/reader. Does not promise: a snapshot; the sets are dumped in
// turn. Source: packaging/doc/design.md, "The commands".
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/app/host_processes.hpp"
#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"
#include "nft/decide.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::ctl {

struct ListedPort {
  nft::PublishedPort published;
  std::optional<nft::Endpoint> endpoint;  // nothing: its target is missing
  Attachment attachment;                  // parts that the kernel's comment does not tell are "?"
  std::string chain{};
  NetworkNamespace netns{};  // of its owner, as recorded
  std::uint64_t connections = 0;
  bool is_here = true;   // whether an interface of the host has the address now
  bool standby = false;  // a sibling publishes it; `endpoint` is where it would lead
  std::optional<nft::OwnerHash> network{};    // where the comment may not tell
  std::optional<nft::OwnerHash> container{};  // likewise
  Pod pod{};                                  // what the container is called
  nft::Liveness owner = nft::Liveness::unknown;
  std::vector<app::HostProcess> processes{};  // that listen there; listed_processes finds them
};

Result<std::vector<ListedPort>> list_ports(Transport& transport);

// Names too long for a comment are recognised by their hash; of an ID a beginning is enough.
bool is_of_network(const ListedPort& port, const std::string& network);
bool is_of_container(const ListedPort& port, const std::string& id);
// The same, with the owner entries that it is made of; where they do not tell their chain, the one
// that has their port.
struct Listing {
  std::vector<ListedPort> ports;
  std::vector<nft::OwnerEntry> owners;
  std::map<nft::OwnerHash, LifeSigns> life;
};
Result<Listing> read_listing(Transport& transport);

std::string_view to_string(nft::Liveness liveness);  // "alive", "dead", "unknown"

}  // namespace portmapper::ctl
