#include "lib/app/ctl/audit.hpp"
#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/missing.hpp"
#include "lib/app/host_effects.hpp"
#include "lib/app/loopback_again.hpp"
#include "lib/app/retry.hpp"
#include "lib/host/route_localnet.hpp"
#include "nft/commit.hpp"

namespace portmapper::ctl {
namespace {

app::Outcome report(const Audit& audit, bool repaired) {
  app::Outcome outcome;
  for (const std::string& finding : audit.findings) outcome.out += finding + "\n";
  for (const std::string& note : audit.notes) outcome.out += "note: " + note + "\n";
  if (audit.findings.empty()) {
    outcome.out += "no findings\n";
    return outcome;
  }
  const std::size_t left = audit.findings.size() - (repaired ? audit.mendable : 0);
  outcome.status = left == 0 ? 0 : kProblem;
  if (repaired)
    outcome.out += "mended " + std::to_string(audit.mendable) + " of " +
                   std::to_string(audit.findings.size()) + "\n";
  else if (audit.mendable > 0)
    outcome.log = "nft-port-mapperctl check --repair repairs " + std::to_string(audit.mendable) +
                  " of these.\n";
  return outcome;
}

Status repair(Transport& transport, const Audit& audit) {
  for (const std::string& device : audit.close_devices)
    if (const auto closed = app::close_unrecorded(transport, Family::ipv4, device); !closed)
      return closed.error();
  for (const std::string& device : audit.close_routes)
    if (const auto closed = app::close_unrecorded(transport, Family::ipv6, device); !closed)
      return closed.error();
  if (!audit.repair.operations.empty()) {
    std::vector<Error> left_open;
    const nft::CommitResult result = app::commit_closing(transport, audit.repair, left_open);
    if (!result) return to_status(result, audit.repair);
    if (!left_open.empty()) return left_open.front();
  }
  for (const std::string& device : audit.open_devices)
    if (const auto opened = host::enable_route_localnet(device); !opened) return opened.error();
  return app::add_loopback_routes(audit.loopback6);
}

Result<app::Outcome> check_table(Transport& transport, bool repairs) {
  const Result<TableContents> contents = read_table(transport);
  if (!contents) return contents.error();
  Audit audit = audit_table(*contents);
  if (repairs && audit.mendable > 0)
    if (const Status mended = repair(transport, audit); !mended) return mended.error();
  for (const Missing& missing : find_missing(transport))
    audit.findings.push_back(to_string(missing));
  return report(audit, repairs);
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
