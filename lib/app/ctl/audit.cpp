#include "lib/app/ctl/audit.hpp"

#include <algorithm>
#include <set>

#include "lib/app/exposure.hpp"
#include "lib/app/host_notes.hpp"
#include "lib/base/escape.hpp"
#include "nft/decide.hpp"
#include "nft/hairpin_fit.hpp"
#include "nft/missing_hairpins.hpp"
#include "nft/siblings.hpp"
#include "nft/userdata.hpp"

namespace portmapper::ctl {
namespace {

class Auditor {
 public:
  explicit Auditor(const TableContents& contents) : contents_(contents) {}

  Audit run() {
    check_exposure();
    if (!contents_.exists) {
      check_left_routes({});
      return std::move(audit_);
    }
    audit_.repair.generation = contents_.generation;
    check_skeleton();
    check_owners();
    check_leftovers();
    check_hairpins();
    check_loopback();
    check_devices();
    check_routes();
    return std::move(audit_);
  }

 private:
  using Kind = Finding::Kind;

  void find(std::string_view thing, std::string_view advice, Kind kind = Kind::damage) {
    audit_.findings.push_back(
        {.thing = printable(thing), .advice = printable(advice), .kind = kind});
  }
  void find_mendable(std::string_view thing, Kind kind = Kind::damage) {
    audit_.findings.push_back({.thing = printable(thing), .kind = kind, .is_mendable = true});
  }
  void mend(std::string_view thing, nft::Transaction repair) {
    find_mendable(thing);
    audit_.repair.append(std::move(repair));
  }
  void remove(std::string_view thing, nft::Transaction removal) {
    find_mendable(thing, Kind::nobodys);
    audit_.removal.append(std::move(removal));
  }

  // A set cannot change its type, and one that a rule looks into does not go. What it had is found missing
  // afterwards, and put back by the next look.
  static nft::Transaction without_sets(const std::vector<nft::Damage>& sets) {
    nft::Transaction transaction;
    for (const nft::ChainSpec& chain : nft::skeleton_chains()) {
      transaction.operations.emplace_back(nft::AddChain{chain.name, chain.hook, {}});
      transaction.operations.emplace_back(nft::FlushChain{chain.name});
    }
    for (const nft::Damage& set : sets)
      transaction.operations.emplace_back(nft::DeleteSet{set.object});
    return transaction;
  }

  [[nodiscard]] bool is_on_record(const std::string& chain) const {
    const std::vector<nft::NetworkChain>& all = contents_.on_record.chains;
    return std::any_of(all.begin(), all.end(),
                       [&chain](const nft::NetworkChain& one) { return one.name == chain; });
  }

  void check_skeleton() {
    std::vector<nft::Damage> mendable = contents_.skeleton.damage;
    for (const std::string& chain : contents_.chains) {
      const nft::ChainDamage& damage = contents_.chain_damage.at(chain);
      if (damage.lacks_jump)
        mendable.push_back({nft::Damage::Kind::missing_rule, nft::kNetworks, "jump " + chain});
      if (is_on_record(chain))
        mendable.insert(mendable.end(), damage.damage.begin(), damage.damage.end());
      else
        for (const nft::Damage& one : damage.damage)
          find(to_string(one), "the next ADD of its network repairs that");
    }
    mendable.insert(mendable.end(), contents_.other_types.begin(), contents_.other_types.end());
    for (const nft::Damage& one : mendable) find_mendable(to_string(one));
    if (mendable.empty()) return;
    if (!contents_.other_types.empty()) audit_.repair.append(without_sets(contents_.other_types));
    std::vector<std::string> first = contents_.skeleton.wrong_hooks;
    const nft::Rebuilding& networks = contents_.on_record;
    first.insert(first.end(), networks.replaced.begin(), networks.replaced.end());
    audit_.repair.append(nft::build_tables(networks.chains, contents_.chains, first));
    audit_.repair.append(nft::loopback_addition(contents_.unlisted_loopback));
    audit_.repair.append(nft::device_users_added(Family::ipv4, contents_.unlisted_users));
    for (const std::string& device : contents_.exposed_by_us)
      audit_.repair.append(nft::opened_device_added(Family::ipv4, device));
  }

  void check_owners() {
    std::set<nft::OwnerHash> seen;
    for (const nft::OwnerEntry& owner : contents_.owners) {
      const LifeSigns& life = contents_.life.at(owner.owner);
      if (seen.insert(owner.owner).second && nft::liveness_of(life) == nft::Liveness::dead)
        find("attachment " + owner.comment + " is dead",
             "nft-port-mapperctl prune removes its ports", Kind::outlived);
      check_port(owner);
      check_address(owner);
    }
  }

  void check_port(const nft::OwnerEntry& owner) {
    if (owner.standby) return check_standby(owner);
    check_claim(owner);
    const bool has_target = owner.chain.empty()
                                ? has_target_anywhere(owner.published)
                                : contents_.targets.contains({owner.chain, owner.published});
    if (!has_target)
      find("port " + to_string(owner.published) + " of " + owner.comment + " has no target",
           "run nft-port-mapperctl restore, or start the container again");
  }

  // An address that comes and goes with another host's health is no damage.
  void check_address(const nft::OwnerEntry& owner) {
    const std::vector<IpAddress>& absent = contents_.absent_addresses;
    const IpAddress& address = owner.published.address;
    if (!owner.standby && std::binary_search(absent.begin(), absent.end(), address))
      audit_.notes.push_back(printable("port " + to_string(owner.published) + " of " +
                                       owner.comment +
                                       " does not answer: " + app::absence_of(address)));
  }

  static nft::Transaction without_standby(const nft::OwnerHash& owner, std::uint32_t index) {
    nft::Transaction transaction;
    transaction.operations.emplace_back(nft::Elements{
        nft::ElementVerb::remove, nft::standby_spec(), {}, {{nft::owner_key(owner, index)}}});
    return transaction;
  }

  [[nodiscard]] bool publishes_itself(const nft::OwnerEntry& owner) const {
    const auto claim = contents_.claims.find(owner.published);
    return claim != contents_.claims.end() && claim->second.owner == owner.owner;
  }

  // Somebody must publish the port, and somebody else: a sibling, which may overlap with it only.
  void check_standby(const nft::OwnerEntry& owner) {
    const std::string port = "port " + to_string(owner.published);
    if (publishes_itself(owner))
      return remove(owner.comment + " stands by for " + port + ", which it publishes itself",
                    without_standby(owner.owner, owner.index));
    const bool is_published =
        std::any_of(contents_.claims.begin(), contents_.claims.end(),
                    [&](const auto& other) { return overlap(other.first, owner.published); });
    if (!is_published)
      find(owner.comment + " stands by for " + port + ", which nobody publishes",
           "start the container again");
  }

  void check_claim(const nft::OwnerEntry& owner) {
    const auto claim = contents_.claims.find(owner.published);
    const std::string port = "port " + to_string(owner.published) + " of " + owner.comment;
    if (claim == contents_.claims.end())
      mend(port + " has no claim", claim_again(owner));
    else if (claim->second.owner && *claim->second.owner != owner.owner)
      find(port + " is claimed by another attachment (" + claim->second.comment + ")", {});
  }

  static nft::Transaction claim_again(const nft::OwnerEntry& owner) {
    Attachment attachment;
    const bool known = nft::parse_attachment_comment(owner.comment, attachment);
    const std::string comment =
        known ? nft::container_comment(attachment.container_id) : owner.comment;
    nft::Transaction transaction;
    transaction.operations.emplace_back(
        nft::Elements{nft::ElementVerb::create,
                      nft::claim_spec(nft::suffix_of(owner.published)),
                      nft::encode({.comment = comment, .owner = owner.owner}),
                      {{nft::claim_key(owner.published)}}});
    return transaction;
  }

  [[nodiscard]] bool has_target_anywhere(const nft::PublishedPort& port) const {
    return std::any_of(contents_.chains.begin(), contents_.chains.end(),
                       [&](const std::string& chain) {
                         return contents_.targets.contains({chain, port});
                       });
  }

  static nft::Transaction without(const nft::SetSpec& set, const nft::PublishedPort& port) {
    nft::Transaction transaction;
    transaction.operations.emplace_back(
        nft::Elements{nft::ElementVerb::remove, set, {}, {{nft::claim_key(port)}}});
    return transaction;
  }

  // By which owner entry each port is published.
  [[nodiscard]] std::map<nft::PublishedPort, const nft::OwnerEntry*> publishers() const {
    std::map<nft::PublishedPort, const nft::OwnerEntry*> owners;
    for (const nft::OwnerEntry& owner : contents_.owners)
      if (!owner.standby || publishes_itself(owner)) owners.emplace(owner.published, &owner);
    return owners;
  }

  // Claims and targets without an owner entry: nobody would ever remove them.
  void check_leftovers() {
    const auto owners = publishers();
    for (const nft::Stray& stray : contents_.strays)
      remove("standby element " + std::string(nft::to_string(stray.owner)) + " . " +
                 std::to_string(stray.index) + ", to " + to_string(stray.endpoint) +
                 ", has no owner",
             without_standby(stray.owner, stray.index));
    for (const auto& [port, claim] : contents_.claims)
      if (!owners.contains(port))
        remove("claim of " + to_string(port) + " (" + claim.comment + ") has no owner",
               without(nft::claim_spec(nft::suffix_of(port)), port));
    for (const auto& [key, target] : contents_.targets) {
      const auto& [chain, port] = key;
      const auto owner = owners.find(port);
      if (owner != owners.end() && (owner->second->chain.empty() || owner->second->chain == chain))
        continue;
      remove("target of " + to_string(port) + " in chain " + chain + " (" + target.comment +
                 ") has no owner",
             without(nft::target_spec(chain, nft::suffix_of(port)), port));
    }
  }

  // With a table the guard is mended with the skeleton; without one nobody needs the setting.
  void check_exposure() {
    for (const std::string& device : contents_.exposed_devices) {
      find_mendable(app::exposure_of(device), Kind::exposure);
      if (!contents_.exists) audit_.close.emplace_back(Family::ipv4, device);
    }
  }

  // Where a port needs one, its record is what is missing.
  void check_left_routes(const std::set<std::string>& needed) {
    for (const std::string& device : contents_.left_routes) {
      if (needed.contains(device)) continue;
      find_mendable(app::left_route_of(device), Kind::loopback6);
      audit_.close.emplace_back(Family::ipv6, device);
    }
  }

  // What 127.0.0.1 may reach without being published: a process of the host would be hidden. A claim
  // without an owner goes by the same repair.
  void check_loopback() {
    std::set<nft::PublishedPort> services;
    const auto add = [&services](const nft::PublishedPort& port) {
      if (nft::is_reachable_by_loopback(port)) services.insert(nft::on_any(port));
    };
    for (const nft::OwnerEntry& owner : contents_.owners) add(owner.published);
    for (const nft::OwnerEntry& owner : contents_.owners) check_listed(owner);
    for (const auto& [port, comment] : contents_.loopback)
      if (!services.contains(port))
        remove("element of " + to_string(port) + " in " + nft::loopback_set(port.address.family()) +
                   " (" + comment + ") has no " +
                   (contents_.claims.contains(port) ? "owner" : "claim"),
               nft::loopback_removed(port));
  }

  [[nodiscard]] bool has_claim(const nft::OwnerEntry& owner) const {
    const auto claim = contents_.claims.find(owner.published);
    return claim != contents_.claims.end() && !owner.standby &&
           (!claim->second.owner || *claim->second.owner == owner.owner);
  }

  // Who is reached by 127.0.0.0/8 has a device and its ports in the set, and the other way round.
  void check_listed(const nft::OwnerEntry& owner) {
    const nft::PublishedPort& port = owner.published;
    if (port.address != IpAddress::any(Family::ipv4) || !has_claim(owner)) return;
    const bool is_listed = contents_.loopback.contains(port);
    const bool has_device = contents_.localnet_users.contains(owner.owner);
    const nft::ClaimEntry& claim = contents_.claims.at(port);
    if (has_device && !is_listed && contents_.unlisted_loopback.empty())
      mend("port " + to_string(port) + " of " + owner.comment + " is missing in " +
               nft::loopback_set(Family::ipv4),
           nft::loopback_addition({&claim, 1}));
    if (is_listed && !has_device && lost_users_.insert(owner.owner).second) find_lost_user(owner);
  }

  // Once for all of its ports.
  void find_lost_user(const nft::OwnerEntry& owner) {
    const std::string text =
        "attachment " + owner.comment + " is missing in " + nft::kLocalnetUsers;
    const auto lost = contents_.lost_users.find(owner.owner);
    if (lost == contents_.lost_users.end() || lost->second.empty())
      return find(text, "its next ADD repairs that");
    const nft::LocalnetUser user{owner.owner, owner.comment, lost->second};
    mend(text, nft::device_users_added(Family::ipv4, {&user, 1}));
  }

  void remove_user(Family family, const nft::OwnerHash& owner) {
    remove("element " + std::string(nft::to_string(owner)) + " in " +
               nft::device_users_spec(family).name + " has no owner",
           nft::device_user_removed(family, owner));
  }

  [[nodiscard]] std::vector<nft::HairpinNeed> hairpin_needs() const {
    std::vector<nft::HairpinNeed> needs;
    for (const nft::OwnerEntry& owner : contents_.owners) {
      const auto target = contents_.targets.find({owner.chain, owner.published});
      if (!owner.wish || !has_claim(owner) || target == contents_.targets.end()) continue;
      const nft::HairpinNeed need{*owner.wish, target->second.endpoint.address,
                                  contents_.loopback.contains(nft::on_any(owner.published))};
      if (needs.empty() || needs.back() != need) needs.push_back(need);
    }
    return needs;
  }

  void check_hairpins() {
    const std::vector<nft::Hairpin>& existing = contents_.loopback6.hairpins;
    missing_ = nft::missing_hairpins(hairpin_needs(), existing);
    for (const nft::Hairpin& pair : missing_) find_mendable(nft::to_string_missing(pair));
    const nft::HairpinFit fit = nft::fit_all_hairpins(missing_, existing);
    audit_.repair.append(nft::removal(fit.remove));
    audit_.repair.append(nft::addition(fit.add));
  }

  // With the pairs that the repair brings back.
  [[nodiscard]] nft::LoopbackView mended_loopback6() const {
    nft::LoopbackView view = contents_.loopback6;
    view.hairpins.insert(view.hairpins.end(), missing_.begin(), missing_.end());
    return view;
  }

  // Whether ::1 reaches the ports that it can reach, and what was left of the record of its routes.
  void check_routes() {
    audit_.loopback6 = nft::decide_loopback_again(mended_loopback6());
    for (const std::string& finding : audit_.loopback6.findings)
      find_mendable(finding, Kind::loopback6);
    audit_.repair.append(audit_.loopback6.repair);
    std::set<nft::OwnerHash> owners;
    for (const nft::OwnerEntry& owner : contents_.owners) owners.insert(owner.owner);
    std::set<std::string> needed;
    std::set<std::string> forbidden;
    for (const auto& [owner, link] : contents_.loopback6.links)
      (link.forbids_route ? forbidden : needed).insert(link.device);
    for (const auto& [owner, device] : contents_.loopback6.users)
      if (!owners.contains(owner))
        remove_user(Family::ipv6, owner);
      else if (!forbidden.contains(device))
        needed.insert(device);
    for (const std::string& device : contents_.loopback6.recorded)
      if (!needed.contains(device) && !forbidden.contains(device))
        remove("device " + device + " has the route of ::1 for ports that are no longer published",
               nft::opened_device_removed(Family::ipv6, device));
    check_left_routes(needed);
  }

  // No batch brings it back.
  void check_gone_devices() {
    std::set<nft::OwnerHash> said;
    for (const nft::OwnerEntry& owner : contents_.owners) {
      const auto user = contents_.localnet_users.find(owner.owner);
      if (user != contents_.localnet_users.end() && contents_.gone_devices.contains(user->second) &&
          said.insert(owner.owner).second)
        find("interface " + user->second + ", which led to attachment " + owner.comment +
                 ", is gone",
             "start the container again", Kind::outlived);
    }
  }

  [[nodiscard]] bool is_recorded(const std::string& device) const {
    const std::vector<std::string>& devices = contents_.localnet_devices;
    return std::find(devices.begin(), devices.end(), device) != devices.end();
  }

  // Of those that are needed: a device that was recorded was opened by us, and is to be closed one day.
  void check_lost_devices(const std::set<std::string>& needed) {
    for (const std::string& device : contents_.known_devices)
      if (needed.contains(device) && !is_recorded(device) &&
          !contents_.gone_devices.contains(device))
        mend("device " + device + " is missing in " + nft::kLocalnetDevices,
             nft::opened_device_added(Family::ipv4, device));
  }

  void check_devices() {
    std::map<nft::OwnerHash, bool> owners;  // whether one publishes a port, or only stands by
    for (const nft::OwnerEntry& owner : contents_.owners)
      owners[owner.owner] = owners[owner.owner] || has_claim(owner);
    std::set<std::string> needed;
    std::set<std::string> in_use;
    for (const auto& [owner, device] : contents_.localnet_users) {
      if (const auto found = owners.find(owner); found != owners.end()) {
        needed.insert(device);
        if (found->second) in_use.insert(device);
        continue;
      }
      remove_user(Family::ipv4, owner);
    }
    for (const auto& [owner, device] : contents_.lost_users)
      if (lost_users_.contains(owner) && !device.empty()) needed.insert(device);
    check_lost_devices(needed);
    for (const std::string& device : contents_.localnet_devices)
      if (!needed.contains(device) && lost_users_.empty())
        remove("device " + device + " has route_localnet for ports that are no longer published",
               nft::opened_device_removed(Family::ipv4, device));
    check_gone_devices();
    for (const std::string& device : contents_.closed_devices) {
      if (!in_use.contains(device)) continue;
      find_mendable(
          "device " + device + " lacks route_localnet: 127.0.0.1 does not reach its ports",
          Kind::of_host);
      // Who opens it answers for it.
      if (!is_recorded(device) && !contents_.known_devices.contains(device))
        audit_.repair.append(nft::opened_device_added(Family::ipv4, device));
      audit_.open_devices.push_back(device);
    }
  }

  const TableContents& contents_;
  Audit audit_;
  std::vector<nft::Hairpin> missing_{};
  std::set<nft::OwnerHash> lost_users_{};
};

}  // namespace

std::string to_string(const Finding& finding) {
  return finding.thing + (finding.advice.empty() ? "" : "; " + finding.advice);
}

std::size_t Audit::mendable() const {
  return static_cast<std::size_t>(std::count_if(
      findings.begin(), findings.end(), [](const Finding& one) { return one.is_mendable; }));
}

void add_egress(const app::EgressAudit& egress, Audit& audit) {
  for (const nft::EgressFinding& one : egress.damage)
    audit.findings.push_back({.thing = printable(one.what),
                              .advice = one.advice,
                              .kind = Finding::Kind::egress,
                              .is_mendable = one.is_mendable});
  for (const std::string& attachment : egress.dead)
    audit.findings.push_back({.thing = printable("attachment " + attachment + " is dead"),
                              .advice = "nft-port-mapperctl prune ends its masquerading",
                              .kind = Finding::Kind::outlived});
  for (const std::string& note : egress.notes) audit.notes.push_back(printable(note));
}

Audit audit_table(const TableContents& contents) {
  return Auditor(contents).run();
}

}  // namespace portmapper::ctl
