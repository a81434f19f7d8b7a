#include <algorithm>
#include <optional>

#include "lib/app/ctl/audit.hpp"
#include "lib/app/ctl/commands.hpp"
#include "lib/app/host_effects.hpp"
#include "lib/app/loopback_again.hpp"
#include "lib/app/retry.hpp"
#include "lib/host/route_localnet.hpp"
#include "nft/commit.hpp"

namespace portmapper::ctl {
namespace {

// What `--repair` could not do. It goes on with the next device; the elements are one batch.
struct Repair {
  std::vector<Error> left;
};

app::Outcome report(const Audit& audit, const std::optional<Repair>& repair) {
  app::Outcome outcome;
  for (const std::string& finding : audit.findings) outcome.out += finding + "\n";
  for (const std::string& note : audit.notes) outcome.out += "note: " + note + "\n";
  if (audit.findings.empty()) {
    outcome.out += "no findings\n";
    return outcome;
  }
  const std::size_t all = audit.findings.size();
  const std::size_t mended =
      repair ? audit.mendable - std::min(audit.mendable, repair->left.size()) : 0;
  outcome.status = mended == all ? 0 : kProblem;
  if (repair) {
    outcome.out += "mended " + std::to_string(mended) + " of " + std::to_string(all) + "\n";
    for (const Error& error : repair->left) outcome.log += failure(error).log;
  } else if (audit.mendable > 0) {
    outcome.log = "nft-port-mapperctl check --repair repairs " + std::to_string(audit.mendable) +
                  " of these.\n";
  }
  return outcome;
}

Result<Repair> mend(Transport& transport, const Audit& audit) {
  Repair repair;
  for (const auto& [family, device] : audit.close)
    if (const auto closed = app::close_unrecorded(transport, family, device); !closed)
      repair.left.push_back(closed.error());
  if (!audit.repair.operations.empty()) {
    std::vector<Error> left_open;
    const nft::CommitResult result = app::commit_closing(transport, audit.repair, left_open);
    if (!result) return to_status(result, audit.repair).error();
    repair.left.insert(repair.left.end(), left_open.begin(), left_open.end());
  }
  for (const std::string& device : audit.open_devices)
    if (const auto opened = host::enable_route_localnet(device); !opened)
      repair.left.push_back(opened.error());
  for (Error& error : app::add_loopback_routes(transport, audit.loopback6))
    repair.left.push_back(std::move(error));
  return repair;
}

Result<app::Outcome> check_table(Transport& transport, bool repairs) {
  const Result<TableContents> contents = read_table(transport);
  if (!contents) return contents.error();
  const Audit audit = audit_table(*contents);
  if (!repairs) return report(audit, std::nullopt);
  if (audit.mendable == 0) return report(audit, Repair());
  const Result<Repair> repair = mend(transport, audit);
  if (!repair) return repair.error();
  return report(audit, *repair);
}

}  // namespace

app::Outcome check(const Arguments& arguments) {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return failure(netlink.error());
  const Result<app::Outcome> done =
      app::retried([&] { return check_table(*netlink, arguments.has("--repair")); });
  return done ? *done : failure(done.error());
}

}  // namespace portmapper::ctl
