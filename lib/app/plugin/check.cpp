#include <algorithm>

#include "lib/app/egress.hpp"
#include "lib/app/host_effects.hpp"
#include "lib/app/look.hpp"
#include "lib/app/plugin/commands.hpp"
#include "lib/app/retry.hpp"
#include "nft/check_ports.hpp"

namespace portmapper::plugin {
namespace {

Result<nft::Snapshot> look_at_all(Transport& transport, const nft::Plan& plan) {
  nft::Snapshot snapshot;
  const app::Subject subject{.plan = &plan,
                             .network = &plan.chain,
                             .owner = nft::owner_hash(plan.attachment),
                             .chain = plan.chain.name};
  for (const nft::Section section :
       {nft::Section::ruleset, nft::Section::set_damage, nft::Section::claims,
        nft::Section::installed, nft::Section::wanted_hairpins})
    if (const Status read = app::look(transport, subject, section, snapshot); !read)
      return read.error();
  if (!nft::stands_by_unclaimed(plan, snapshot)) return snapshot;
  for (const nft::Section section : {nft::Section::overlaps, nft::Section::occupancy})
    if (const Status read = app::look(transport, subject, section, snapshot); !read)
      return read.error();
  return snapshot;
}

Result<std::vector<std::string>> findings_of(const nft::Plan& plan) {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return netlink.error();
  const Result<nft::Snapshot> snapshot = app::retried([&] { return look_at_all(*netlink, plan); });
  if (!snapshot) return snapshot.error();
  return nft::check_ports(plan, *snapshot);
}

std::string enumerate(const std::vector<std::string>& findings) {
  constexpr std::size_t kNamed = 20;
  std::string text;
  for (std::size_t i = 0; i < std::min(kNamed, findings.size()); ++i)
    text += (i == 0 ? "" : "; ") + findings[i];
  if (findings.size() > kNamed)
    text += "; and " + std::to_string(findings.size() - kNamed) + " more";
  return text;
}

Status check_masquerade(const app::CommandContext& context, const nft::Plan& plan) {
  if (plan.egress.empty()) return {};
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return netlink.error();
  const Result<app::EgressView> view = app::look_at_egress(*netlink);
  if (!view) return view.error();
  const std::vector<std::string> findings = app::check_masquerade(*view, plan);
  if (findings.empty()) return {};
  return mapping_failed(
      "container " + context.request.container_id + " is not masqueraded as ADD does it",
      enumerate(findings));
}

Status check_mapping(const app::CommandContext& context) {
  if (context.conf.mappings.empty() && !context.conf.ip_masq) return {};
  if (!context.conf.prev_result) return invalid_input("prevResult is missing");
  Result<nft::Plan> plan = app::plan_of(context, *context.conf.prev_result, "prevResult");
  if (!plan) return plan.error();
  if (const Status masqueraded = check_masquerade(context, *plan); !masqueraded) return masqueraded;
  if (plan->translations.empty()) return {};
  Result<std::vector<std::string>> findings = findings_of(*plan);
  if (findings && !findings->empty()) {
    // Where 127.0.0.1 or ::1 cannot reach the container, its pair is not missing.
    const std::size_t pairs = plan->hairpins.size();
    app::find_way_of_loopback(*plan);
    if (plan->hairpins.size() != pairs) findings = findings_of(*plan);
  }
  if (!findings) return findings.error();
  if (findings->empty()) return {};
  return mapping_failed(
      "the ports of container " + context.request.container_id + " are not as ADD builds them",
      enumerate(*findings));
}

}  // namespace

Result<std::string> check(const app::CommandContext& context) {
  if (const Status mapped = check_mapping(context); !mapped) return mapped.error();
  const std::string* prev_result = context.conf.prev_result ? &*context.conf.prev_result : nullptr;
  const Result<std::string> delegated =
      app::run_delegate(context, cni::Command::check, prev_result);
  if (!delegated) return delegated.error();
  return std::string();
}

}  // namespace portmapper::plugin
