#include "lib/app/ctl/audit.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "lib/app/columns.hpp"
#include "lib/base/escape.hpp"
#include "lib/host/netns.hpp"
#include "lib/host/route_localnet.hpp"
#include "nft/read/reader.hpp"
#include "nft/userdata.hpp"

namespace portmapper {
namespace {

// The whole table, by published port. A port has one claim, and one owner; targets are by chain
// too.
struct Contents {
  std::vector<OwnerEntry> owners;
  std::map<PublishedPort, ClaimEntry> claims;
  std::map<std::pair<std::string, PublishedPort>, TargetEntry> targets;
  std::vector<std::string> chains;
};

Result<Contents> read_contents(Transport& transport) {
  Contents contents;
  Result<std::vector<std::string>> chains = read_network_chains(transport);
  if (!chains) return chains.error();
  contents.chains = std::move(*chains);
  Result<std::vector<OwnerEntry>> owners = read_owners(transport);
  if (!owners) return owners.error();
  contents.owners = std::move(*owners);
  for (const Suffix suffix : kSuffixes) {
    Result<std::vector<ClaimEntry>> claims = read_claim_set(transport, suffix);
    if (!claims) return claims.error();
    for (ClaimEntry& claim : *claims) contents.claims.emplace(claim.published, std::move(claim));
    for (const std::string& chain : contents.chains) {
      Result<std::vector<TargetEntry>> targets = read_target_map(transport, chain, suffix);
      if (!targets) return targets.error();
      for (TargetEntry& target : *targets)
        contents.targets.emplace(std::pair(chain, target.published), std::move(target));
    }
  }
  return contents;
}

class Auditor {
 public:
  Auditor(Transport& transport, Audit& audit) : transport_(transport), audit_(audit) {}

  Status run() {
    const Result<bool> exists = has_table(transport_);
    if (!exists) return exists.error();
    if (*exists) {
      if (const Status status = check_skeleton(); !status) return status;
      const Result<Contents> contents = read_contents(transport_);
      if (!contents) return contents.error();
      check_owners(*contents);
      check_leftovers(*contents);
    }
    return check_guard(*exists);
  }

 private:
  void find(std::string_view text) { audit_.findings.push_back(printable(text)); }
  void mend(std::string_view text, Transaction repair) {
    find(text);
    ++audit_.mendable;
    audit_.repair.append(std::move(repair));
  }

  Status check_skeleton() {
    const Result<Ruleset> skeleton = read_skeleton(transport_);
    if (!skeleton) return skeleton.error();
    audit_.repair.generation = skeleton->generation;
    const Result<std::vector<std::string>> chains = read_network_chains(transport_);
    if (!chains) return chains.error();
    std::vector<std::string> mendable = skeleton->damage;
    for (const std::string& chain : *chains) {
      const Result<ChainDamage> damage = read_chain_damage(transport_, chain);
      if (!damage) return damage.error();
      if (damage->lacks_jump)
        mendable.push_back(std::string("chain ") + kNetworks + " lacks rule: jump " + chain);
      for (const std::string& text : damage->rules)
        find(text + "; the next ADD of its network puts that right");
    }
    for (const std::string& text : mendable) find(text);
    audit_.mendable += mendable.size();
    if (!mendable.empty()) audit_.repair.append(construction(*chains, skeleton->wrong_hooks));
    return {};
  }

  void check_owners(const Contents& contents) {
    Namespaces namespaces;
    std::map<OwnerHash, bool> alive;
    for (const OwnerEntry& owner : contents.owners) {
      const auto [state, is_new] = alive.try_emplace(owner.owner);
      if (is_new) {
        state->second = namespaces.hold(owner.netns);
        if (!state->second)
          find("attachment " + owner.comment +
               " is gone; nft-port-mapperctl prune removes its ports");
      }
      check_claim(contents, owner);
      const bool has_target = owner.chain.empty()
                                  ? has_target_anywhere(contents, owner.published)
                                  : contents.targets.contains({owner.chain, owner.published});
      if (!has_target)
        find("port " + to_string(owner.published) + " of " + owner.comment +
             " has no target; nft-port-mapperctl restore, or starting the container again, puts it "
             "back");
    }
  }

  void check_claim(const Contents& contents, const OwnerEntry& owner) {
    const auto claim = contents.claims.find(owner.published);
    const std::string port = "port " + to_string(owner.published) + " of " + owner.comment;
    if (claim == contents.claims.end()) {
      mend(port + " has no claim", claim_again(owner));
    } else if (claim->second.owner && *claim->second.owner != owner.owner) {
      find(port + " is claimed by another attachment (" + claim->second.comment + ")");
    }
  }

  static Transaction claim_again(const OwnerEntry& owner) {
    Attachment attachment;
    const bool known = parse_attachment_comment(owner.comment, attachment);
    const std::string comment = known ? container_comment(attachment.container_id) : owner.comment;
    Transaction transaction;
    transaction.operations.emplace_back(Elements{ElementVerb::create,
                                                 claim_spec(suffix_of(owner.published)),
                                                 encode({.comment = comment, .owner = owner.owner}),
                                                 {{claim_key(owner.published)}}});
    return transaction;
  }

  static bool has_target_anywhere(const Contents& contents, const PublishedPort& port) {
    return std::any_of(contents.chains.begin(), contents.chains.end(),
                       [&](const std::string& chain) {
                         return contents.targets.contains({chain, port});
                       });
  }

  static Transaction without(const SetSpec& set, const PublishedPort& port) {
    Transaction transaction;
    transaction.operations.emplace_back(
        Elements{ElementVerb::remove, set, {}, {{claim_key(port)}}});
    return transaction;
  }

  // Claims and targets that no owner entry stands for: nobody would ever remove them.
  void check_leftovers(const Contents& contents) {
    std::map<PublishedPort, const OwnerEntry*> owners;
    for (const OwnerEntry& owner : contents.owners) owners.emplace(owner.published, &owner);
    for (const auto& [port, claim] : contents.claims)
      if (!owners.contains(port))
        mend("claim of " + to_string(port) + " (" + claim.comment + ") has no owner",
             without(claim_spec(suffix_of(port)), port));
    for (const auto& [key, target] : contents.targets) {
      const auto& [chain, port] = key;
      const auto owner = owners.find(port);
      if (owner != owners.end() && (owner->second->chain.empty() || owner->second->chain == chain))
        continue;
      mend("target of " + to_string(port) + " in chain " + chain + " (" + target.comment +
               ") has no owner",
           without(target_spec(chain, suffix_of(port)), port));
    }
  }

  // Without a table of ours, route_localnet is somebody else's business.
  Status check_guard(bool has_table) {
    if (!has_table) return {};
    const Result<bool> guarded = has_guard(transport_);
    if (!guarded) return guarded.error();
    if (*guarded) return {};
    for (const std::string& device : devices_with_route_localnet()) {
      find("device " + device +
           " has route_localnet without our guard: its neighbours reach the host's 127.0.0.1");
      ++audit_.mendable;  // the guard is mended with the skeleton
    }
    return {};
  }

  Transport& transport_;
  Audit& audit_;
};

}  // namespace

Result<Audit> audit_table(Transport& transport) {
  Audit audit;
  if (const Status status = Auditor(transport, audit).run(); !status) return status.error();
  return audit;
}

}  // namespace portmapper
