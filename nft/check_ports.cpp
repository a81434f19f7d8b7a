#include "nft/check_ports.hpp"

#include <map>

#include "nft/hairpin_fit.hpp"

namespace portmapper::nft {
namespace {

using Findings = std::vector<std::string>;

std::string element(const std::string& set, const PublishedPort& port) {
  return "element of " + to_string(port) + " in " + set;
}

// ADD leaves a port to another attachment of the same container that publishes it.
void leave_out_shared(Plan& plan, const std::vector<Claim>& claims) {
  const OwnerHash self = owner_hash(plan.attachment);
  const std::string container = container_comment(plan.attachment.container_id);
  std::size_t number = 0;
  std::erase_if(plan.translations, [&](const Translation&) {
    const Claim& claim = claims[number++];
    return claim.exists && claim.owner && *claim.owner != self && claim.comment == container;
  });
}

void check_port(const Translation& wanted, const InstalledPort& found, const std::string& chain,
                Findings& findings) {
  const PublishedPort& port = wanted.published;
  const Suffix suffix = suffix_of(port);
  if (!found.claimed)
    findings.push_back(element(claim_set(suffix), port) + " is missing or another's");
  const std::string map = target_map(chain, suffix);
  if (!found.endpoint)
    findings.push_back(element(map, port) + " is missing");
  else if (*found.endpoint != wanted.endpoint)
    findings.push_back(element(map, port) + " leads to " + to_string(*found.endpoint) +
                       ", not to " + to_string(wanted.endpoint));
}

// Where 127.0.0.1 reaches the container by a device of the record, it reaches each of its ports.
void check_loopback(const InstalledPorts& installed, Findings& findings) {
  if (installed.localnet_device.empty()) return;
  for (const InstalledPort& port : installed.ports)
    if (port.claimed && port.published.address.is_any() &&
        is_reachable_by_loopback(port.published) && !port.by_loopback)
      findings.push_back(element(loopback_set(Family::ipv4), port.published) + " is missing");
}

// The three elements of each published port, as ADD would make them now.
void check_elements(const Plan& plan, const InstalledPorts& installed, Findings& findings) {
  if (!installed.empty() && installed.chain != plan.chain.name)
    findings.push_back("its ports are in chain " + installed.chain + ", not in " + plan.chain.name);
  std::map<std::uint32_t, const InstalledPort*> by_index;
  for (const InstalledPort& port : installed.ports) by_index.emplace(port.index.value_or(0), &port);
  std::uint32_t index = 0;
  for (const Translation& translation : plan.translations) {
    const auto entry = by_index.find(index++);
    const InstalledPort* const found = entry == by_index.end() ? nullptr : entry->second;
    const std::string owner = element(kOwners, translation.published);
    if (found == nullptr)
      findings.push_back(owner + " is missing");
    else if (found->published != translation.published)
      findings.push_back(owner + " leads to " + to_string(found->published));
    else
      check_port(translation, *found, plan.chain.name, findings);
  }
  for (auto extra = by_index.lower_bound(index); extra != by_index.end(); ++extra)
    findings.push_back(element(kOwners, extra->second->published) + " is not in the configuration");
}

}  // namespace

std::vector<std::string> check_ports(Plan plan, const Snapshot& snapshot) {
  Findings findings;
  for (const Damage& damage : snapshot.ruleset->damage) findings.push_back(to_string(damage));
  for (const Damage& damage : *snapshot.set_damage) findings.push_back(to_string(damage));
  const std::vector<Hairpin> hairpins = fit_hairpins(plan.hairpins, *snapshot.hairpins).add;
  leave_out_shared(plan, *snapshot.claims);
  check_elements(plan, *snapshot.installed, findings);
  check_loopback(*snapshot.installed, findings);
  for (const Hairpin& missing : hairpins)
    findings.push_back("element " + missing.source.to_string() + " . " +
                       missing.destination.to_string() + " is missing in " +
                       hairpin_set(missing.destination.address.family()));
  return findings;
}

}  // namespace portmapper::nft
