#include "nft/loopback_again.hpp"

#include <algorithm>

#include "nft/hairpin_tag.hpp"

namespace portmapper::nft {
namespace {

class Decider {
 public:
  explicit Decider(const LoopbackView& view) : view_(view) {}

  LoopbackAgain run() {
    for (const LoopbackPort& port : view_.ports) decide(port);
    for (const auto& [device, ports] : needed_) check_device(device, ports);
    for (const auto& [owner, link] : view_.links) check_forbidden(link);
    return std::move(again_);
  }

 private:
  void mend(std::string finding, Transaction repair) {
    again_.findings.push_back(std::move(finding));
    again_.repair.append(std::move(repair));
  }

  // The pair is the subnet's: a neighbour may want it, where this one asked for none (`snat` false).
  [[nodiscard]] bool is_wanted(const LoopbackPort& port) const {
    const auto from_loopback = [](const Hairpin& pair) {
      return pair.source.contains(IpPrefix::loopback(Family::ipv6));
    };
    if (port.owner.wish) {
      const std::vector<Hairpin> own = hairpins_of(*port.owner.wish, port.endpoint);
      if (std::none_of(own.begin(), own.end(), from_loopback)) return false;
    } else if (!view_.users.contains(port.owner.owner)) {
      return false;
    }
    return std::any_of(view_.hairpins.begin(), view_.hairpins.end(), [&](const Hairpin& pair) {
      return from_loopback(pair) && pair.destination.contains(port.endpoint);
    });
  }

  void decide(const LoopbackPort& port) {
    const OwnerEntry& owner = port.owner;
    const PublishedPort service = on_any(owner.published);
    const auto link = view_.links.find(owner.owner);
    const bool has_link = link != view_.links.end();
    const bool is_reached = is_wanted(port) && has_link && link->second.obstacle.empty();
    const bool is_listed = view_.listed.contains(service);
    const std::string name = "port " + to_string(owner.published) + " of " + owner.comment;
    if (is_reached) {
      needed_[link->second.device].push_back(owner.published);
      check_user(owner, link->second.device);
      if (!is_listed && decided_.insert(service).second) {
        const ClaimEntry claim{owner.published, port.comment, owner.owner};
        mend(name + " is missing in " + loopback_set(Family::ipv6) + ", and ::1 can reach it by " +
                 link->second.device,
             loopback_addition({&claim, 1}));
      }
    } else if (is_listed && decided_.insert(service).second) {
      mend(name + " is in " + loopback_set(Family::ipv6) + ", and " +
               (!has_link                        ? "no interface leads to its container"
                : !link->second.obstacle.empty() ? link->second.obstacle
                                                 : "its network does not want ::1") +
               ": connections to ::1 hang",
           loopback_removed(owner.published));
    }
  }

  // Without it, nobody would remove the route one day.
  void check_user(const OwnerEntry& owner, const std::string& device) {
    const auto user = view_.users.find(owner.owner);
    if ((user != view_.users.end() && user->second == device) || !users_.insert(owner.owner).second)
      return;
    Transaction transaction;
    if (user != view_.users.end())  // a map's element cannot be changed
      transaction = device_user_removed(Family::ipv6, owner.owner);
    const LocalnetUser wanted{owner.owner, owner.comment, device};
    transaction.append(device_users_added(Family::ipv6, {&wanted, 1}));
    mend("attachment " + owner.comment + " is not in " + kLoopbackUsers + " with " + device,
         std::move(transaction));
  }

  void check_device(const std::string& device, const std::vector<PublishedPort>& ports) {
    if (!view_.recorded.contains(device))
      mend("device " + device + " is missing in " + kLoopbackRoutes,
           opened_device_added(Family::ipv6, device));
    if (view_.routed.contains(device)) return;
    again_.findings.push_back("device " + device +
                              " lacks the route of ::1: connections to ::1 hang");
    again_.routes.emplace(device, ports);
  }

  // With its record: the next look finds what is needed once the obstacle is gone.
  void check_forbidden(const LoopbackLink& link) {
    if (!link.forbids_route || !view_.recorded.contains(link.device) ||
        !forbidden_.insert(link.device).second)
      return;
    mend("device " + link.device + " has the route of ::1, and " + link.obstacle,
         opened_device_removed(Family::ipv6, link.device));
  }

  const LoopbackView& view_;
  LoopbackAgain again_;
  std::map<std::string, std::vector<PublishedPort>> needed_;
  std::set<std::string> forbidden_;
  std::set<OwnerHash> users_;        // that were seen to
  std::set<PublishedPort> decided_;  // services, which [::]:80 and [::1]:80 have in common
};

}  // namespace

std::vector<LoopbackPort> loopback_ports(const std::vector<OwnerEntry>& owners,
                                         const ClaimsByPort& claims,
                                         const EndpointsByPort& endpoints) {
  std::vector<LoopbackPort> ports;
  for (const OwnerEntry& owner : owners) {
    const PublishedPort& port = owner.published;
    if (owner.standby || port.address.family() != Family::ipv6 || !is_reachable_by_loopback(port))
      continue;
    const auto claim = claims.find(port);
    const auto endpoint = endpoints.find(port);
    if (claim == claims.end() || endpoint == endpoints.end()) continue;
    if (claim->second.owner && *claim->second.owner != owner.owner) continue;
    ports.push_back({owner, claim->second.comment, endpoint->second});
  }
  return ports;
}

LoopbackAgain decide_loopback_again(const LoopbackView& view) {
  return Decider(view).run();
}

}  // namespace portmapper::nft
