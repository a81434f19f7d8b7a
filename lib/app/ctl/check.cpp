#include <algorithm>
#include <optional>
#include <utility>

#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/facts.hpp"
#include "lib/app/ctl/mending.hpp"
#include "lib/app/ctl/missing.hpp"
#include "lib/app/ctl/steady_audit.hpp"
#include "lib/app/egress.hpp"
#include "lib/app/retry.hpp"
#include "lib/base/escape.hpp"

namespace portmapper::ctl {
namespace {

// What `--repair` could not do. It goes on with the next device; the elements are one batch.
struct Repair {
  std::vector<Error> left;
};

struct Checked {
  Audit audit;
  std::optional<Repair> repair{};

  [[nodiscard]] std::size_t mended() const {
    return repair ? audit.mendable() - std::min(audit.mendable(), repair->left.size()) : 0;
  }
};

std::string json_of(const Checked& checked) {
  const Audit& audit = checked.audit;
  json::Writer out;
  out.begin_object().key("findings").begin_array();
  for (const Finding& finding : audit.findings)
    out.begin_object().member("what", to_string(finding)).end_object();
  out.end_array().key("notes");
  write_texts(out, audit.notes);
  out.member("mendable", static_cast<std::int64_t>(audit.mendable()))
      .member("mended", static_cast<std::int64_t>(checked.mended()))
      .end_object();
  return std::move(out).text() + "\n";
}

std::string text_of(const Checked& checked) {
  const Audit& audit = checked.audit;
  std::string text;
  for (const Finding& finding : audit.findings) text += to_string(finding) + "\n";
  for (const std::string& note : audit.notes) text += "note: " + note + "\n";
  if (audit.findings.empty()) return text + "no findings\n";
  if (checked.repair)
    text += "mended " + std::to_string(checked.mended()) + " of " +
            std::to_string(audit.findings.size()) + "\n";
  return text;
}

app::Outcome report(const Checked& checked, bool as_json) {
  const Audit& audit = checked.audit;
  app::Outcome outcome;
  outcome.status = checked.mended() == audit.findings.size() ? 0 : kProblem;
  outcome.out = as_json ? json_of(checked) : text_of(checked);
  if (checked.repair)
    for (const Error& error : checked.repair->left) outcome.log += failure(error).log;
  else if (audit.mendable() > 0 && !as_json)
    outcome.log = "nft-port-mapperctl check --repair repairs " + std::to_string(audit.mendable()) +
                  " of these.\n";
  return outcome;
}

// `has_looked`: what was found is known, whatever becomes of its repair.
Result<Checked> check_table(Transport& transport, bool repairs, bool& has_looked) {
  Result<SteadyAudit> steady = audit_steadily(transport);
  if (!steady) return steady.error();
  Checked checked{std::move(steady->audit)};
  has_looked = true;
  if (repairs) checked.repair.emplace();
  if (repairs && checked.audit.mendable() > 0) {
    Result<std::vector<Error>> left = mend(transport, checked.audit, Mending::all);
    if (!left) return left.error();
    checked.repair->left = std::move(*left);
  }
  if (repairs)
    if (const Result<bool> mended = app::mend_masquerade(transport); !mended)
      checked.repair->left.push_back(mended.error());
  const Result<std::vector<Missing>> missing = find_missing(transport);
  if (!missing) return missing.error();
  for (const Missing& one : *missing) checked.audit.findings.push_back({.thing = to_string(one)});
  return checked;
}

}  // namespace

app::Outcome check(const Arguments& arguments) {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return could_not_look(netlink.error());
  const bool repairs = arguments.has("--repair");
  bool has_looked = false;
  const Result<Checked> done =
      app::retried([&] { return check_table(*netlink, repairs, has_looked); });
  if (done) return report(*done, arguments.has("--json"));
  return has_looked ? failure(done.error()) : could_not_look(done.error());
}

}  // namespace portmapper::ctl
