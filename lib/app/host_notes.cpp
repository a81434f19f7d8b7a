#include "lib/app/host_notes.hpp"

#include <algorithm>
#include <set>

#include "lib/host/ipvs.hpp"
#include "lib/host/local_addresses.hpp"

namespace portmapper::app {
namespace {

void note_absent_addresses(nft::Plan& plan) {
  std::vector<IpAddress> addresses;
  for (const nft::Translation& translation : plan.translations)
    if (!translation.published.address.is_any()) addresses.push_back(translation.published.address);
  if (addresses.empty()) return;
  const Result<std::vector<IpAddress>> absent = host::absent_addresses(std::move(addresses));
  if (!absent) return;
  for (const IpAddress& address : *absent)
    plan.notes.push_back(absence_of(address) + "; its ports answer once one has it");
}

void note_ipvs(nft::Plan& plan) {
  if (!plan.chain.exclude_addresses.empty()) return;
  const auto any = std::find_if(
      plan.translations.begin(), plan.translations.end(),
      [](const nft::Translation& translation) { return translation.published.address.is_any(); });
  if (any == plan.translations.end() || !host::has_ipvs_device()) return;
  plan.notes.push_back(
      std::string("WARNING: ") + host::kIpvsDevice +
      " makes the addresses of the cluster's services this host's own, so " +
      to_string(any->published) +
      " takes what is sent to services of the same port, and so does every port on any address"
      " (CVE-2019-9946); name the cluster's service prefixes in excludeAddresses");
}

}  // namespace

void note_absent_snat_addresses(nft::Plan& plan) {
  std::set<IpAddress> addresses;
  for (const nft::EgressSource& source : plan.egress)
    if (source.network.snat) addresses.insert(*source.network.snat);
  if (addresses.empty()) return;
  const Result<std::vector<IpAddress>> absent =
      host::absent_addresses({addresses.begin(), addresses.end()});
  if (!absent) return;
  for (const IpAddress& address : *absent) plan.notes.push_back(absent_snat_address(address));
}

void note_host(nft::Plan& plan) {
  note_absent_snat_addresses(plan);
  note_absent_addresses(plan);
  note_ipvs(plan);
}

std::string absent_snat_address(const IpAddress& address) {
  return "snatAddress: " + absence_of(address) +
         "; what leaves with it is answered once one has it";
}

std::string absence_of(const IpAddress& address) {
  return "no interface of this host has " + address.to_string() + " now";
}

}  // namespace portmapper::app
