// Host processes: who of the host listens where a container's port is published, and what of it is hidden.
//
//   const nft::PublishedPort ports[] = {published};
//   const auto listeners = listeners_on(ports);  // the kernel's answer; none: there is nothing to do
//   for (const HostProcess& one : host_processes(ports, *listeners, {}))
//     use(sentence(one));  // "0.0.0.0:8080/tcp hides the host's process nginx (pid 812), which ..."
//
// A published port and a listener meet where port, protocol and address family are the same:
//
//   published    listens on     the process
//   any          any            is hidden
//   any          one address    keeps it; the host's own connections to it go to the container
//   any          fe80::/10, 127.0.0.53, 127.0.0.54, or one of excludeAddresses   keeps it
//   one address  that one, any  is hidden there
//   either       127.0.0.0/8 or ::1: is hidden if the host's loopback reaches the port, which only
//                the host's own connections come by; else it keeps it
//
// SCTP: hidden wherever they meet, since the kernel's lookup of a packet's socket knows TCP and UDP
// alone. podman's conmon has sockets of its own on published ports, in which nobody is answered, so
// that others do not take them: it is left out. A process may call itself conmon to be left out;
// nothing but the note or the refusal that protects it is lost. Errors: mapping_failed where the
// kernel lists no sockets. Does not promise: that nobody listens a moment later. Source:
// packaging/doc/design.md, "Why each chain sits where it does"; kernel net/ipv4/netfilter/nf_socket_ipv4.c.
#pragma once

#include <set>
#include <span>
#include <string>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/config/net_config.hpp"
#include "lib/host/listeners.hpp"
#include "nft/plan.hpp"

namespace portmapper::app {

struct HostProcess {
  nft::PublishedPort published;
  host::Listener listener;
  bool is_hidden = false;  // or it keeps its address
};

// What "any address" never means, whoever publishes a port there: fe80::/10, 127.0.0.53, 127.0.0.54.
bool stays_the_hosts(const IpAddress& address);

// The ports that the host's loopback reaches, each on any address of its family, as in the kernel's
// sets loopback-ip and loopback-ip6.
using LoopbackPorts = std::set<nft::PublishedPort>;
LoopbackPorts reached_by_loopback(std::span<const nft::Plan* const> plans);

// Those of all ports, whether they meet them or not.
Result<std::vector<host::Listener>> listeners_on(std::span<const nft::PublishedPort> ports);

// A pure function; in the order of the ports. A listener may meet several ports.
std::vector<HostProcess> meetings(std::span<const nft::PublishedPort> ports,
                                  std::span<const host::Listener> listeners,
                                  const LoopbackPorts& loopback);
// The same with the processes' names, and without those that only reserve a port.
std::vector<HostProcess> host_processes(std::span<const nft::PublishedPort> ports,
                                        std::span<const host::Listener> listeners,
                                        const LoopbackPorts& loopback);

// "the host's process nginx (pid 812)", fit to be printed.
std::string name_of(const host::Listener& listener);
// "0.0.0.0:8080/tcp"
std::string place_of(const host::Listener& listener);
// What becomes of the process, without a full stop.
std::string sentence(const HostProcess& process);

// The processes that the plans' ports hide, each once.
Result<std::vector<HostProcess>> hidden_by(std::span<const nft::Plan* const> plans);
// A note on each, or on why they are not known.
std::vector<std::string> notes_on(const Result<std::vector<HostProcess>>& hidden);

// Of an ADD, before anything is changed: what key `hostListeners` wants to be said of the processes
// that the plan hides. Error: port_taken where it wants that refused, which names them.
Result<std::vector<std::string>> notes_on_listeners(const nft::Plan& plan,
                                                    config::HostListeners wish);

}  // namespace portmapper::app
