// IPVS: the device on which kube-proxy's mode of that name puts the address of every service of the
// cluster, so that each of them is an address of this host.
//
//   if (has_ipvs_device()) use(kIpvsDevice);  // "kube-ipvs0"
//
// One system call where it is not: the device's sysctls are this network namespace's, wherever /proc was mounted.
// Errors: none; without /proc it is not seen. Does not promise: that kube-proxy runs; the device may
// be left of it. Source: kube-proxy, pkg/proxy/ipvs; kernel net/sysctl_net.c.
#pragma once

namespace portmapper::host {

inline constexpr char kIpvsDevice[] = "kube-ipvs0";

bool has_ipvs_device();

}  // namespace portmapper::host
