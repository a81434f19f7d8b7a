#include "lib/app/ctl/audit.hpp"
#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/facts.hpp"
#include "lib/app/host_effects.hpp"
#include "lib/app/loopback_again.hpp"
#include "lib/app/retry.hpp"
#include "lib/host/route_localnet.hpp"
#include "nft/commit.hpp"

namespace portmapper::ctl {
namespace {

std::string json_of(const Audit& audit, bool repaired) {
  json::Writer out;
  out.begin_object().key("findings").begin_array();
  for (const std::string& finding : audit.findings)
    out.begin_object().member("what", finding).end_object();
  out.end_array().key("notes");
  write_texts(out, audit.notes);
  out.member("mendable", static_cast<std::int64_t>(audit.mendable))
      .member("mended", static_cast<std::int64_t>(repaired ? audit.mendable : 0))
      .end_object();
  return std::move(out).text() + "\n";
}

app::Outcome report(const Audit& audit, bool repaired, bool as_json) {
  app::Outcome outcome;
  if (as_json) {
    const std::size_t mended = repaired ? audit.mendable : 0;
    outcome.status = audit.findings.size() == mended ? 0 : kProblem;
    outcome.out = json_of(audit, repaired);
    return outcome;
  }
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

// `has_looked`: what was found is known, whatever becomes of its repair.
Result<Audit> check_table(Transport& transport, bool repairs, bool& has_looked) {
  const Result<TableContents> contents = read_table(transport);
  if (!contents) return contents.error();
  Audit audit = audit_table(*contents);
  has_looked = true;
  if (repairs && audit.mendable > 0)
    if (const Status mended = repair(transport, audit); !mended) return mended.error();
  return audit;
}

}  // namespace

app::Outcome check(const Arguments& arguments) {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return could_not_look(netlink.error());
  const bool repairs = arguments.has("--repair");
  bool has_looked = false;
  const Result<Audit> done =
      app::retried([&] { return check_table(*netlink, repairs, has_looked); });
  if (done) return report(*done, repairs, arguments.has("--json"));
  return has_looked ? failure(done.error()) : could_not_look(done.error());
}

}  // namespace portmapper::ctl
