// find_life: whether the owners of ports still live on this host, as far as can be seen.
//
//   const std::vector<LifeTrace> traces = {{netns, addresses}};
//   const std::vector<LifeSigns> signs = find_life(traces, plan.netns);  // one for each trace
//
// An owner whose recorded path leads to its namespace, with one of its addresses inside, is found
// without more ado; for the others the whole host is looked at, once (lib/host/namespace_look).
// That look proves an absence if it is complete and is taken from where the record was made, or
// from the host's first PID and mount namespace; what has no record, from the latter alone.
// `newcomer`: who wants the owners' ports; an address in its namespace is its own and says nothing.
//
// A look that lacks the descriptors of protected processes alone proves that no task is in a
// namespace, and no address; that a namespace is gone it proves only together with the kernel's own
// word for its id (Linux 6.18), which is waited for, half a second at most: somebody may just have
// looked inside. A namespace that such a descriptor alone keeps has no address for us.
//
// A namespace with the recorded inode number, and another id or another cookie than the recorded
// one, proves alone that the recorded one is gone, whatever else the look may miss: no two have one
// number at the same time. Where neither can be compared, a number that was recorded under another
// path than the newcomer's, and that the newcomer has now, was used again.
// Errors: none; what cannot be seen is unknown. Does not promise: to be still true; whoever removes
// names what it was told (nft/decide, Withdrawal), and the table's generation guards the rest. An
// inode number of a PID or mount namespace may be used again too: the tasks and mounts that were
// seen from there are gone then.
// Source: packaging/doc/design.md, "Who is dead".
#pragma once

#include <vector>

#include "lib/base/ip_address.hpp"
#include "lib/base/network_namespace.hpp"
#include "lib/host/namespace_look.hpp"

namespace portmapper::host {

// What the table has of an owner.
struct LifeTrace {
  NetworkNamespace netns;
  std::vector<IpAddress> addresses;  // of its endpoints
};

// What the recorded path and the kernel say of one of them.
struct LifeHint {
  bool is_at_path = false;
  bool is_gone_for_good = false;  // by its id; see lib/host/netns
};

std::vector<LifeSigns> find_life(const std::vector<LifeTrace>& traces,
                                 const NetworkNamespace& newcomer = {});

// What a look at the host says of one of them; pure.
LifeSigns read_signs(const LifeTrace& trace, const LifeHint& hint, const NamespaceLook& look,
                     const NetworkNamespace& newcomer);

}  // namespace portmapper::host
