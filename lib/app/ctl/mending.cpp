#include "lib/app/ctl/mending.hpp"

#include <utility>

#include "lib/app/host_effects.hpp"
#include "lib/app/loopback_again.hpp"
#include "lib/host/route_localnet.hpp"
#include "nft/commit.hpp"

namespace portmapper::ctl {

Result<std::vector<Error>> mend(Transport& transport, const Audit& audit, Mending mending) {
  std::vector<Error> left;
  for (const auto& [family, device] : audit.close)
    if (const auto closed = app::close_unrecorded(transport, family, device); !closed)
      left.push_back(closed.error());
  nft::Transaction batch = audit.repair;
  if (mending == Mending::all) batch.append(audit.removal);
  if (!batch.operations.empty()) {
    std::vector<Error> left_open;
    const nft::CommitResult result = app::commit_closing(transport, batch, left_open);
    if (!result) return to_status(result, batch).error();
    left.insert(left.end(), left_open.begin(), left_open.end());
  }
  for (const std::string& device : audit.open_devices)
    if (const auto opened = host::enable_route_localnet(device); !opened)
      left.push_back(opened.error());
  for (Error& error : app::add_loopback_routes(transport, audit.loopback6))
    left.push_back(std::move(error));
  return left;
}

}  // namespace portmapper::ctl
