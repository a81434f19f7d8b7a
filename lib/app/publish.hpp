// publish and withdraw: put an attachment's ports into the kernel, and remove them.
//
//   const Result<Published> published = publish(transport, plan);  // ADD
//   const nft::OwnerHash owner = nft::owner_hash(attachment);
//   const auto gone = withdraw(transport, {.owner = owner, .chain = "hostports"}, notes);  // DEL
//
// Both are one batch, decided by nft/decide. publish puts back skeleton and network chain where
// they are not as we build them, replaces what the same attachment had, and takes ports over from
// dead owners. withdraw ends the stale flows too, and succeeds when nothing is left, whatever
// was missing; it returns what it removed. Errors: port_taken names port, owner and network;
// mapping_failed: a refusal names object and errno. try_again_later when others kept changing the
// ruleset. A process of the host that listens on the same port is no conflict here; what an ADD says
// of it is lib/app/host_processes'. Source: packaging/doc/design.md, "The commands".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"
#include "nft/decide.hpp"

namespace portmapper::app {

struct Published {
  bool is_new = false;  // false: a plan of restore's is published, by the attachment's own ADD
  // What leads to the container now, where that is not all of the plan: a sibling has the rest.
  std::optional<nft::Plan> part{};
  std::vector<nft::InstalledPorts> promoted{};  // siblings that got what the plan leaves
  std::vector<nft::InstalledPorts> left{};      // what gave way, as withdraw returns it
  bool may_be_masqueraded = true;               // false: there is no table nft-port-mapper-egress
};
Result<Published> publish(Transport& transport, const nft::Plan& plan);

// In what it returns, `endpoint` is where flows of the port are to end. Without `close_connections`
// none is of TCP and SCTP, and never of what a sibling leads to the same endpoint now.
Result<nft::InstalledPorts> withdraw(Transport& transport, const nft::Withdrawal& withdrawal,
                                     std::vector<std::string>& notes,
                                     bool close_connections = true);
// Without the flows: whoever removes many attachments ends all of theirs at once, by effects_of_dels.
Result<nft::InstalledPorts> withdraw_ports(Transport& transport, const nft::Withdrawal& withdrawal,
                                           std::vector<std::string>& notes,
                                           bool close_connections = true);

// Whether an ADD to this network can work now. Changes nothing.
Status try_network(Transport& transport, const nft::NetworkChain& network);

// Removes a network chain whose maps are empty, with its maps and its jump.
Status remove_network_if_empty(Transport& transport, const std::string& chain);

}  // namespace portmapper::app
