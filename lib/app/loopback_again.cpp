#include "lib/app/loopback_again.hpp"

#include <map>
#include <optional>

#include "lib/app/host_effects.hpp"
#include "lib/app/retry.hpp"
#include "lib/host/loopback_route.hpp"
#include "nft/commit.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::app {
namespace {

Result<nft::ClaimsByPort> read_claims_that_loopback_reaches(Transport& transport) {
  nft::ClaimsByPort claims;
  for (const nft::AddressScope scope : {nft::AddressScope::any, nft::AddressScope::one}) {
    Result<std::vector<nft::ClaimEntry>> some =
        nft::read_claim_set(transport, {Family::ipv6, scope});
    if (!some) return some.error();
    for (nft::ClaimEntry& claim : *some)
      if (nft::is_reachable_by_loopback(claim.published))
        claims.emplace(claim.published, std::move(claim));
  }
  return claims;
}

Result<nft::EndpointsByPort> read_endpoints(Transport& transport) {
  nft::EndpointsByPort endpoints;
  const Result<std::vector<std::string>> chains = nft::read_network_chains(transport);
  if (!chains) return chains.error();
  for (const std::string& chain : *chains)
    for (const nft::AddressScope scope : {nft::AddressScope::any, nft::AddressScope::one}) {
      const Result<std::vector<nft::TargetEntry>> targets =
          nft::read_target_map(transport, chain, {Family::ipv6, scope});
      if (!targets) return targets.error();
      for (const nft::TargetEntry& target : *targets)
        endpoints.emplace(target.published, target.endpoint.address);
    }
  return endpoints;
}

Result<std::vector<nft::LoopbackPort>> read_ports(Transport& transport) {
  const Result<nft::ClaimsByPort> claims = read_claims_that_loopback_reaches(transport);
  if (!claims) return claims.error();
  if (claims->empty()) return std::vector<nft::LoopbackPort>();
  const Result<std::vector<nft::OwnerEntry>> owners = nft::read_owners(transport);
  if (!owners) return owners.error();
  const Result<nft::EndpointsByPort> endpoints = read_endpoints(transport);
  if (!endpoints) return endpoints.error();
  return nft::loopback_ports(*owners, *claims, *endpoints);
}

Status read_records(Transport& transport, nft::LoopbackView& view) {
  Result<std::vector<nft::Hairpin>> hairpins = nft::read_hairpins(transport);
  if (!hairpins) return hairpins.error();
  const auto listed = nft::read_loopback_set(transport, Family::ipv6);
  if (!listed) return listed.error();
  auto users = nft::read_device_users(transport, Family::ipv6);
  if (!users) return users.error();
  const auto recorded = nft::read_opened_devices(transport, Family::ipv6);
  if (!recorded) return recorded.error();
  view.hairpins = std::move(*hairpins);
  for (const nft::ClaimEntry& entry : *listed) view.listed.emplace(entry.published, entry.comment);
  view.users = std::move(*users);
  view.recorded.insert(recorded->begin(), recorded->end());
  return {};
}

// Of owners with a record, by it: a host of thousands has a few devices.
Status read_links(nft::LoopbackView& view) {
  Result<Netlink> route = Netlink::open(NETLINK_ROUTE);
  if (!route) return route.error();
  std::map<std::string, std::optional<nft::LoopbackLink>> devices;  // if it is known
  const auto link_of = [](const std::string& device, host::LoopbackObstacle obstacle) {
    return nft::LoopbackLink{device, to_string(obstacle, device), forbids_route(obstacle)};
  };
  for (const nft::LoopbackPort& port : view.ports) {
    const nft::OwnerHash& owner = port.owner.owner;
    if (view.links.contains(owner)) continue;
    const auto user = view.users.find(owner);
    if (user == view.users.end()) {
      const auto way = host::loopback_way_to(*route, port.endpoint);
      if (way && way->is_attached) view.links.emplace(owner, link_of(way->device, way->obstacle));
      continue;
    }
    const auto [known, is_new] = devices.try_emplace(user->second);
    if (is_new)
      if (const auto obstacle = host::loopback_obstacle(*route, user->second); obstacle)
        known->second = link_of(user->second, *obstacle);
    if (known->second) view.links.emplace(owner, *known->second);
  }
  for (const auto& [owner, link] : view.links) {
    if (view.routed.contains(link.device)) continue;
    const Result<bool> is_there = host::has_loopback_route(*route, link.device);
    if (!is_there) return is_there.error();
    if (*is_there) view.routed.insert(link.device);
  }
  return {};
}

}  // namespace

Result<nft::LoopbackView> read_loopback_view(Transport& transport,
                                             std::vector<nft::LoopbackPort> ports) {
  nft::LoopbackView view;
  view.ports = std::move(ports);
  if (const Status read = read_records(transport, view); !read) return read.error();
  if (view.ports.empty()) return view;
  if (const Status read = read_links(view); !read) return read.error();
  return view;
}

namespace {

Result<nft::LoopbackView> read_whole_view(Transport& transport) {
  Result<std::vector<nft::LoopbackPort>> ports = read_ports(transport);
  if (!ports) return ports.error();
  return read_loopback_view(transport, std::move(*ports));
}

}  // namespace

std::vector<Error> add_loopback_routes(Transport& transport, const nft::LoopbackAgain& again) {
  std::vector<Error> left;
  for (const auto& [device, ports] : again.routes) {
    const Result<bool> added = host::add_loopback_route(device);
    if (added) continue;
    left.push_back(added.error());
    unlist_loopback6(transport, ports);
  }
  return left;
}

Result<MendedLoopback> mend_loopback(Transport& transport) {
  for (Retry retry; retry.again();) {
    const Result<std::uint32_t> generation = nft::read_generation(transport);
    if (!generation) return generation.error();
    const Result<nft::LoopbackView> view = read_whole_view(transport);
    if (!view && changed_concurrently(view.error().error_number)) continue;
    if (!view) return view.error();
    nft::LoopbackAgain again = nft::decide_loopback_again(*view);
    std::vector<Error> left;
    if (!again.repair.operations.empty()) {
      again.repair.generation = *generation;
      const Status done = to_status(commit_closing(transport, again.repair, left), again.repair);
      if (!done && changed_concurrently(done.error().error_number)) continue;
      if (!done) return done.error();
    }
    for (Error& error : add_loopback_routes(transport, again)) left.push_back(std::move(error));
    return MendedLoopback{std::move(again.findings), std::move(left)};
  }
  return Retry::exhausted();
}

}  // namespace portmapper::app
