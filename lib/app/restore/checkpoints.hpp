// Checkpoints: what container runtimes keep on disk of the attachments they made with our plugin.
//
//   const Scan scan = scan_checkpoints(default_sources(), {}, only_ours);
//   for (const Reading& reading : scan.readings)
//     if (reading.cached && *reading.cached) use((*reading.cached)->config);
//
//   libcni  <cache>/results/<network>-<container>-<interface>: podman (as root), containerd and
//           Nomad all keep it in /var/lib/cni
//   mesos   <root>/<container>/ns, <network>/network.conf, <network>/<interface>/network.info, in
//           the agent's runtime directory or, with --network_cni_root_dir_persist, its work
//           directory
//
// Whose entries of libcni's are read `types` says: by the type in the configuration that they were made
// with. A file that was read in the same state before (`known`) is not read again. Files are judged by
// lib/host/directory, and a libcni entry must have the name that libcni would give it, since that
// is the one its DEL removes. Errors: each file or directory with its reason; the others are read
// all the same. Does not promise: that an attachment lives, or that its configuration is valid.
// Source: containernetworking/cni libcni/api.go, apache/mesos isolators/network/cni/paths.hpp.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/attachment.hpp"
#include "lib/base/error.hpp"
#include "lib/host/directory.hpp"

namespace portmapper::restore {

struct Source {
  enum class Kind { libcni, mesos };
  Kind kind;
  std::string path;
  bool optional = true;  // where it does not exist, nothing was kept there
};

std::vector<Source> default_sources();
// What kind of directory an operator named: a libcni cache or its `results`, otherwise a Mesos
// agent's directory or the CNI root in it.
Source source_of(const std::string& directory);

// Of the files of one attachment.
struct CheckpointState {
  host::FileState config;
  host::FileState result;  // libcni has one file for both
  bool operator==(const CheckpointState&) const = default;
};
using CheckpointStates = std::map<std::string, CheckpointState>;  // by path

struct CachedAttachment {
  Attachment attachment;
  std::string netns;   // empty: nothing tells
  std::string config;  // what our plugin got on stdin
  std::string result;  // the delegate's; empty where it is the prevResult of `config`
  Pod pod{};
};

// The types that an entry is ours by, of the file at a path, in a state. An entry with several of them is ours
// by the first.
using TypesOf =
    std::function<std::vector<std::string_view>(const std::string&, const host::FileState&)>;
std::vector<std::string_view> only_ours(const std::string& path, const host::FileState& state);

struct Reading {
  std::string path;
  Result<std::optional<CachedAttachment>> cached;  // nothing: not made by a plugin of those types
};

struct Scan {
  CheckpointStates states;        // every attachment there is
  std::vector<Reading> readings;  // of those that are not `known` in this state; oldest first
  std::vector<Error> problems;    // beside those of readings
};

Scan scan_checkpoints(const std::vector<Source>& sources, const CheckpointStates& known,
                      const TypesOf& types);

}  // namespace portmapper::restore
