#include "nft/check_ports.hpp"

#include <algorithm>
#include <map>

#include "nft/hairpin_fit.hpp"
#include "nft/siblings.hpp"

namespace portmapper::nft {
namespace {

using Findings = std::vector<std::string>;

std::string element(const std::string& set, const PublishedPort& port) {
  return "element of " + to_string(port) + " in " + set;
}

bool is_published(const PublishedPort& port, const Snapshot& snapshot) {
  const std::vector<OccupiedPort>& ports = snapshot.occupancy->ports;
  return std::any_of(ports.begin(), ports.end(), [&port](const OccupiedPort& other) {
    return other.claimed && overlap(other.port, port);
  });
}

// ADD leaves a port to a sibling that publishes it, and stands by.
void check_standby(const Translation& wanted, const InstalledPort& found, const Claim& claim,
                   const Snapshot& snapshot, const std::string& container, Findings& findings) {
  const std::string port = to_string(wanted.published);
  if (*found.standby != wanted.endpoint)
    findings.push_back(element(kStandby, wanted.published) + " leads to " +
                       to_string(*found.standby) + ", not to " + to_string(wanted.endpoint));
  if (claim.exists && claim.comment != container)
    findings.push_back(port + " is published by another container, and this one stands by for it");
  if (!claim.exists && !is_published(wanted.published, snapshot))
    findings.push_back(port + " is published by nobody, and this attachment only stands by for it");
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
    if (port.claimed && port.published.address == IpAddress::any(Family::ipv4) && !port.by_loopback)
      findings.push_back(element(loopback_set(Family::ipv4), port.published) + " is missing");
}

// Two attachments of one container: one of them should stand by.
bool is_of_sibling(const Claim& claim, const OwnerHash& self, const std::string& container) {
  return claim.exists && claim.owner && *claim.owner != self && claim.comment == container;
}

// The three elements of each published port, as ADD would make them now.
void check_elements(const Plan& plan, const Snapshot& snapshot, Findings& findings) {
  const InstalledPorts& installed = *snapshot.installed;
  const std::string container = container_comment(plan.attachment.container_id);
  if (!installed.empty() && installed.chain != plan.chain.name)
    findings.push_back("its ports are in chain " + installed.chain + ", not in " + plan.chain.name);
  std::map<std::uint32_t, const InstalledPort*> by_index;
  for (const InstalledPort& port : installed.ports)
    if (port.index) by_index.emplace(*port.index, &port);
  std::uint32_t index = 0;
  for (const Translation& translation : plan.translations) {
    const Claim& claim = (*snapshot.claims)[index];
    const auto entry = by_index.find(index++);
    const InstalledPort* const found = entry == by_index.end() ? nullptr : entry->second;
    const std::string owner = element(kOwners, translation.published);
    if (found == nullptr)
      findings.push_back(owner + " is missing");
    else if (found->published != translation.published)
      findings.push_back(owner + " leads to " + to_string(found->published));
    else if (found->standby && !found->claimed)
      check_standby(translation, *found, claim, snapshot, container, findings);
    else if (is_of_sibling(claim, installed.owner, container))
      findings.push_back(element(kStandby, translation.published) + " is missing");
    else
      check_port(translation, *found, plan.chain.name, findings);
  }
  for (auto extra = by_index.lower_bound(index); extra != by_index.end(); ++extra)
    findings.push_back(element(kOwners, extra->second->published) + " is not in the configuration");
}

}  // namespace

bool stands_by_unclaimed(const Plan& plan, const Snapshot& snapshot) {
  const std::vector<InstalledPort>& ports = snapshot.installed->ports;
  return std::any_of(ports.begin(), ports.end(), [&](const InstalledPort& port) {
    const std::uint32_t index = port.index.value_or(0);
    return port.standby && index < plan.translations.size() && !(*snapshot.claims)[index].exists;
  });
}

std::vector<std::string> check_ports(const Plan& plan, const Snapshot& snapshot) {
  Findings findings;
  for (const Damage& damage : snapshot.ruleset->damage) findings.push_back(to_string(damage));
  for (const Damage& damage : *snapshot.set_damage) findings.push_back(to_string(damage));
  const std::vector<Hairpin> hairpins = fit_hairpins(plan.hairpins, *snapshot.hairpins).add;
  check_elements(plan, snapshot, findings);
  check_loopback(*snapshot.installed, findings);
  for (const Hairpin& missing : hairpins)
    findings.push_back("element " + missing.source.to_string() + " . " +
                       missing.destination.to_string() + " is missing in " +
                       hairpin_set(missing.destination.address.family()));
  return findings;
}

}  // namespace portmapper::nft
