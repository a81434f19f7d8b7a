// NetConf: the network configuration of one call, validated, whichever form it came in.
//
//   const Result<NetConf> conf = parse_net_conf(text, cni::Command::add);
//   conf->mappings[0].host_port.value();  // 8080
//
// The Mesos form (with `delegate`) and the portmap form (with `prevResult`) end here alike; nothing
// after this knows which one it was, except through `delegate` and `prev_result`. Ports are in host
// byte order. Errors: invalid_input (101) that lists every problem found, each with its key path,
// its value and what would be right; unsupported_version (1). DEL is lenient where ADD is not:
// entries of port mappings that ADD refuses are ignored, since DEL does not need them. A key that is
// unknown is no error; an ADD notes it where it is like a known one. Source: CNI
// SPEC.md section 1, CONVENTIONS.md (portMappings), portmap's README, Mesos' cni.md (port mapper),
// packaging/doc/design.md, "Configuration".
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/attachment.hpp"
#include "lib/base/error.hpp"
#include "lib/base/ip_address.hpp"
#include "lib/base/match.hpp"
#include "lib/cni/request.hpp"

namespace portmapper::config {

struct Delegate {
  std::string type;
  std::string input;  // the JSON document that the delegate gets on stdin, but for prevResult
};

// An entry of cni.dev/valid-attachments.
struct ValidAttachment {
  std::string container_id;
  std::string ifname;
};

// What an ADD does about a process of the host that a published port hides.
enum class HostListeners { hidden, noted, refused };

// What leaves the container's subnet has the host's address.
struct IpMasq {
  std::vector<IpPrefix> non_masquerade{};   // but for what goes there
  std::vector<IpAddress> snat_addresses{};  // one of a family at most: which address
};

struct NetConf {
  std::string cni_version;  // as asked for; "0.1.0" where the document has none
  std::string name;
  std::optional<std::string> chain;
  std::vector<std::string> exclude_devices;  // "docker0", or the beginning of names: "veth*"
  std::vector<IpPrefix> exclude_addresses;   // of this host, for ports on any address
  std::optional<Delegate> delegate;
  std::chrono::seconds delegate_timeout{120};  // 0: none
  std::chrono::seconds port_wait{5};           // for a port that another container has
  HostListeners host_listeners = HostListeners::hidden;
  std::vector<PortMapping> mappings;  // identical entries once
  bool snat = true;
  bool masq_all = false;
  bool close_connections = true;
  std::optional<IpMasq> ip_masq;  // nothing: what leaves the container keeps its address
  std::vector<Match> conditions_v4;
  std::vector<Match> conditions_v6;
  std::optional<std::string> prev_result;                         // its JSON, untouched
  std::optional<std::vector<ValidAttachment>> valid_attachments;  // GC only
  std::vector<std::string> notes;  // ADD only: keys that were meant to be others
};

Result<NetConf> parse_net_conf(std::string_view text, cni::Command command);

// The version to answer in: the document's cniVersion where it is a supported one, else the newest.
// Never fails, so that every error can be printed.
std::string answer_version(std::string_view text);

}  // namespace portmapper::config
