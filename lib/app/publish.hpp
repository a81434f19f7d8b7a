// publish and withdraw: an attachment's ports into the kernel, and out of it.
//
//   Status status = publish(netlink, plan);                       // ADD
//   Result<nft::InstalledPorts> gone = withdraw(netlink, owner, chain);  // DEL; what there was
//
// publish inserts everything in one batch. It puts back skeleton and network chain where they are
// not as we build them, replaces what the same attachment had, and takes ports over from dead
// owners, each in that same batch. withdraw succeeds when nothing is left, whatever was missing.
// Errors: mapping_failed: a conflict names port, owner and network; a refusal names object and
// errno. try_again_later when others changed the ruleset all the time. Nothing is half done. Does
// not promise: that a port is free on the host itself; a listener there is hidden, not refused.
// Source: shared design, sections 3 and 4.
#pragma once

#include <string>

#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"
#include "nft/installed_ports.hpp"
#include "nft/plan.hpp"

namespace portmapper::app {

Status publish(Transport& transport, const nft::Plan& plan);

// `chain`: where the targets are if the owner entries do not say. `only`: nothing is withdrawn from
// an attachment that was made again and lives in another namespace.
Result<nft::InstalledPorts> withdraw(Transport& transport, const nft::OwnerHash& owner,
                                     const std::string& chain,
                                     const NetworkNamespace* only = nullptr);

// Could an ADD to this network work now? Nothing is changed.
Status dry_run(Transport& transport, const nft::NetworkChain& chain);

// A network chain in whose maps nothing is left goes, maps and jump with it.
Status remove_chain_if_empty(Transport& transport, const std::string& chain);

}  // namespace portmapper::app
