// Record: what a runtime keeps of an attachment that portmap published, made to name our plugin.
//
//   RecordChange change;
//   const host::FileState state;  // in which "/var/lib/cni/results/web-abc-eth0" was judged
//   const Result<bool> done = change.make("/var/lib/cni/results/web-abc-eth0", state);
//   if (done && !*done) use("it is gone, or another by now");
//   use(change.undo());  // what it said before, unless its runtime has touched it meanwhile
//
// podman and CRI-O delete an attachment by the configuration that libcni kept when they made it, not by that
// of today as containerd and Nomad do, and a record does not say whose it is. So of what is taken over the
// record gets our type in place of portmap's, by which the DEL comes to us whoever made it, and restore
// knows it as ours. Nothing else in it changes, but for `backend`, which says how rules are written that ours are
// not. Errors: of naming_ours, invalid_input where the configuration is no list with one portmap in it; of
// make, that it cannot be read or replaced. Source:
// containernetworking/cni libcni/api.go (cachedInfo); containers/common libnetwork/cni/run.go (teardown);
// cri-o/ocicni pkg/ocicni/ocicni.go (loadNetworkFromCache); containerd/go-cni namespace.go.
#pragma once

#include <string>
#include <string_view>

#include "lib/base/error.hpp"
#include "lib/host/directory.hpp"

namespace portmapper::adopt {

// The same record, whose configuration names ours. A pure function.
Result<std::string> naming_ours(std::string_view record, const std::string& path);

class RecordChange {
 public:
  // `state`: in which the record was read and judged.
  Result<bool> make(const std::string& path, const host::FileState& state);
  Status undo();

 private:
  std::string path_{};
  std::string before_{};
  host::FileState changed_{};
};

}  // namespace portmapper::adopt
