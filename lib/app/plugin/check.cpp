#include <algorithm>
#include <map>

#include "lib/app/plugin/commands.hpp"
#include "nft/hairpin_fit.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::plugin {
namespace {

using Findings = std::vector<std::string>;

std::string element(const std::string& set, const nft::PublishedPort& port) {
  return "element of " + to_string(port) + " in " + set;
}

// What another attachment of the same container publishes, ADD leaves to it.
Status leave_out_shared(Transport& transport, nft::Plan& plan) {
  std::vector<nft::PublishedPort> ports;
  for (const nft::Translation& translation : plan.translations)
    ports.push_back(translation.published);
  const Result<std::vector<nft::Claim>> claims = nft::read_claims(transport, ports);
  if (!claims) return claims.error();
  const nft::OwnerHash self = nft::owner_hash(plan.attachment);
  const std::string container = nft::container_comment(plan.attachment.container_id);
  std::size_t number = 0;
  std::erase_if(plan.translations, [&](const nft::Translation&) {
    const nft::Claim& claim = (*claims)[number++];
    return claim.exists && claim.owner && *claim.owner != self && claim.comment == container;
  });
  return {};
}

// The three elements of each published port, as ADD would make them now.
Status check_ports(Transport& transport, nft::Plan plan, Findings& findings) {
  if (const Status status = leave_out_shared(transport, plan); !status) return status.error();
  const Result<nft::InstalledPortsAt> held =
      nft::read_installed_ports(transport, nft::owner_hash(plan.attachment), plan.chain.name);
  if (!held) return held.error();
  const nft::InstalledPorts& installed = held->installed;
  if (!installed.empty() && installed.chain != plan.chain.name)
    findings.push_back("its ports are in chain " + installed.chain + ", not in " + plan.chain.name);
  std::map<std::uint32_t, const nft::InstalledPort*> by_index;
  for (const nft::InstalledPort& port : installed.ports)
    by_index.emplace(port.index.value_or(0), &port);
  std::uint32_t index = 0;
  for (const nft::Translation& translation : plan.translations) {
    const nft::PublishedPort& port = translation.published;
    const auto entry = by_index.find(index++);
    const nft::InstalledPort* found = entry == by_index.end() ? nullptr : entry->second;
    if (found == nullptr || found->published != port) {
      findings.push_back(
          element(nft::kOwners, port) +
          (found == nullptr ? " is missing" : " leads to " + to_string(found->published)));
      continue;
    }
    if (!found->claimed)
      findings.push_back(element(nft::claim_set(nft::suffix_of(port)), port) +
                         " is missing or another's");
    const std::string map = nft::target_map(plan.chain.name, nft::suffix_of(port));
    if (!found->endpoint)
      findings.push_back(element(map, port) + " is missing");
    else if (*found->endpoint != translation.endpoint)
      findings.push_back(element(map, port) + " leads to " + to_string(*found->endpoint) +
                         ", not to " + to_string(translation.endpoint));
  }
  for (auto extra = by_index.lower_bound(index); extra != by_index.end(); ++extra)
    findings.push_back(element(nft::kOwners, extra->second->published) +
                       " is not in the configuration");
  return {};
}

Status check_hairpins(Transport& transport, const nft::Plan& plan, Findings& findings) {
  const Result<std::vector<nft::Hairpin>> existing = nft::read_hairpins(transport, plan.hairpins);
  if (!existing) return existing.error();
  for (const nft::Hairpin& missing : nft::fit_hairpins(plan.hairpins, *existing).add)
    findings.push_back("element " + missing.source.to_string() + " . " +
                       missing.destination.to_string() + " is missing in " +
                       nft::hairpin_set(missing.destination.address.family()));
  return {};
}

Result<Findings> findings_of(const nft::Plan& plan) {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return netlink.error();
  const Result<nft::RulesetDiff> ruleset = nft::read_ruleset(*netlink, plan.chain);
  if (!ruleset) return ruleset.error();
  Findings findings = ruleset->damage;
  const Result<Findings> sets = nft::read_set_damage(*netlink, plan.chain.name);
  if (!sets) return sets.error();
  findings.insert(findings.end(), sets->begin(), sets->end());
  if (const Status status = check_ports(*netlink, plan, findings); !status) return status.error();
  if (const Status status = check_hairpins(*netlink, plan, findings); !status)
    return status.error();
  return findings;
}

Status check_mapping(const app::CommandContext& context) {
  if (context.conf.mappings.empty()) return {};
  if (!context.conf.prev_result)
    return Error{ErrorKind::invalid_input, "prevResult is missing", {}, 0, {}};
  const Result<nft::Plan> plan = app::plan_of(context, *context.conf.prev_result, "prevResult");
  if (!plan) return plan.error();
  if (plan->translations.empty()) return {};
  const Result<Findings> findings = findings_of(*plan);
  if (!findings) return findings.error();
  if (findings->empty()) return {};
  constexpr std::size_t kNamed = 20;
  std::string text;
  for (std::size_t i = 0; i < std::min(kNamed, findings->size()); ++i)
    text += (i == 0 ? "" : "; ") + (*findings)[i];
  if (findings->size() > kNamed)
    text += "; and " + std::to_string(findings->size() - kNamed) + " more";
  return Error{
      ErrorKind::mapping_failed,
      "the ports of container " + context.request.container_id + " are not as ADD builds them",
      text,
      0,
      {}};
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
