// Restore: publishes again what a flush removed, from the runtimes' records.
//
//   const Result<Restored> restored = restore(transport, default_sources(), Mode::publish);
//
// Only attachments that live: their network namespace exists, is not the host's, and has one of the
// addresses that their ports lead to. Attachments that are published completely are not changed.
// Never brings back what a DEL removes at the same time: a runtime forgets an attachment only after
// all plugins have run, and ours runs first, so an entry that is read may belong to an attachment
// whose DEL has passed us already. Therefore what was restored is looked at again, at once and a
// second later, and taken back when its file is gone or its address has left the namespace. A file
// that cannot be read is read again as well, since runtimes do not write them atomically, and an
// attachment that appears meanwhile is restored too. Errors: of a dry run, when the kernel cannot be asked
// at all; everything else is in `problems`, and the rest goes on. Does not promise: to notice a DEL
// whose other plugins take longer than that. Source: packaging/doc/design.md, "Restore";
// containernetworking/cni libcni/api.go, DelNetworkList; apache/mesos
// isolators/network/cni/cni.cpp, detach.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lib/app/restore/checkpoints.hpp"
#include "lib/app/restore/publish_many.hpp"
#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"
#include "lib/host/netns_addresses.hpp"
#include "nft/published_port.hpp"

namespace portmapper::restore {

// What restore is about. What it does not take it leaves as it is.
struct Selection {
  TypesOf types = only_ours;
  std::function<bool(const nft::Plan&)> takes{};  // empty: all
  // Not what a flush left open, nor what is missing of ports that were published before.
  bool is_all = true;
};

enum class Standing : std::uint8_t {
  undecided,
  idle,       // not ours, without ports, or unreadable
  gone,       // does not live
  published,  // by its ADD
  restored,   // by us
  refused,
};

// What became of one record.
struct Seen {
  std::string path;
  Attachment names{};  // empty where it could not be read
  Standing standing = Standing::undecided;
  std::optional<nft::Plan> plan{};
  std::string config{};  // what the plugin got on stdin
  std::string problem{};
  host::FileState state{};  // of the file that has the configuration
};

struct Restored {
  struct Line {
    std::string attachment;  // "web/abc/eth0"
    std::size_t ports = 0;
    Attachment names{};
    std::vector<nft::PublishedPort> published{};  // those that an ADD publishes
    std::string path{};                           // of the record of one that is masqueraded
    NetworkNamespace netns{};                     // likewise
  };
  std::vector<Line> restored;  // or, of a dry run, what would be
  std::vector<Line> taken_back;
  std::vector<Line> masqueraded{};  // again, or, of a dry run, what would be
  std::vector<Line> gone;           // attachments that do not live any more
  std::size_t published = 0;        // attachments that were published already
  std::vector<std::string> problems;
  std::vector<std::string> notes;
  std::vector<std::string> ended{};  // of these, what a saved ruleset had brought back and is gone
  std::vector<Seen> seen;            // of all records; by path
  bool has_failed = false;           // nothing is known of the ports; a problem says why
};

Result<Restored> restore(Transport& transport, const std::vector<Source>& sources, Mode mode,
                         const Selection& selection = {});

// The path of a record proves nothing: it may lead to another namespace by now. An address of the
// attachment in it does.
bool is_inside(const nft::Plan& plan, const host::NetnsAddresses& inside);

}  // namespace portmapper::restore
