// Host notes: what of the host makes a plan's ports do something else than its operator may expect.
//
//   note_host(plan);  // plan.notes: "192.0.2.9:80/tcp: no interface of this host has ..."
//
// An address of a published port, or of snatAddress, that the host does not have, which is no error,
// since it may come (a VIP); and ports on any address where kube-proxy makes the services' addresses the
// host's (CVE-2019-9946). Errors: none; what cannot be read is not noted. Does not promise: that it
// stays so. Source: packaging/doc/configuration.md.
#pragma once

#include "nft/plan.hpp"

namespace portmapper::app {

void note_host(nft::Plan& plan);

// "no interface of this host has 192.0.2.9 now", for notes and findings.
std::string absence_of(const IpAddress& address);
std::string absent_snat_address(const IpAddress& address);

}  // namespace portmapper::app
