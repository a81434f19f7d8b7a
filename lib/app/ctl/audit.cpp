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

namespace portmapper::ctl {
namespace {

// The whole table, by published port. A port has one claim, and one owner; targets are by chain
// too.
struct Contents {
  std::vector<nft::OwnerEntry> owners;
  std::map<nft::PublishedPort, nft::ClaimEntry> claims;
  std::map<std::pair<std::string, nft::PublishedPort>, nft::TargetEntry> targets;
  std::vector<std::string> chains;
};

Result<Contents> read_contents(Transport& transport) {
  Contents contents;
  Result<std::vector<std::string>> chains = nft::read_network_chains(transport);
  if (!chains) return chains.error();
  contents.chains = std::move(*chains);
  Result<std::vector<nft::OwnerEntry>> owners = nft::read_owners(transport);
  if (!owners) return owners.error();
  contents.owners = std::move(*owners);
  for (const nft::Suffix suffix : nft::kSuffixes) {
    Result<std::vector<nft::ClaimEntry>> claims = nft::read_claim_set(transport, suffix);
    if (!claims) return claims.error();
    for (nft::ClaimEntry& claim : *claims)
      contents.claims.emplace(claim.published, std::move(claim));
    for (const std::string& chain : contents.chains) {
      Result<std::vector<nft::TargetEntry>> targets =
          nft::read_target_map(transport, chain, suffix);
      if (!targets) return targets.error();
      for (nft::TargetEntry& target : *targets)
        contents.targets.emplace(std::pair(chain, target.published), std::move(target));
    }
  }
  return contents;
}

class Auditor {
 public:
  Auditor(Transport& transport, Audit& audit) : transport_(transport), audit_(audit) {}

  Status run() {
    const Result<bool> exists = nft::has_table(transport_);
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
  void mend(std::string_view text, nft::Transaction repair) {
    find(text);
    ++audit_.mendable;
    audit_.repair.append(std::move(repair));
  }

  Status check_skeleton() {
    const Result<nft::RulesetDiff> skeleton = nft::read_skeleton(transport_);
    if (!skeleton) return skeleton.error();
    audit_.repair.generation = skeleton->generation;
    const Result<std::vector<std::string>> chains = nft::read_network_chains(transport_);
    if (!chains) return chains.error();
    std::vector<std::string> mendable = skeleton->damage;
    for (const std::string& chain : *chains) {
      const Result<nft::ChainDamage> damage = nft::read_chain_damage(transport_, chain);
      if (!damage) return damage.error();
      if (damage->lacks_jump)
        mendable.push_back(std::string("chain ") + nft::kNetworks + " lacks rule: jump " + chain);
      for (const std::string& text : damage->rules)
        find(text + "; the next ADD of its network puts that right");
    }
    for (const std::string& text : mendable) find(text);
    audit_.mendable += mendable.size();
    if (!mendable.empty()) audit_.repair.append(nft::build_tables(*chains, skeleton->wrong_hooks));
    return {};
  }

  void check_owners(const Contents& contents) {
    host::Namespaces namespaces;
    std::map<nft::OwnerHash, bool> alive;
    for (const nft::OwnerEntry& owner : contents.owners) {
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

  void check_claim(const Contents& contents, const nft::OwnerEntry& owner) {
    const auto claim = contents.claims.find(owner.published);
    const std::string port = "port " + to_string(owner.published) + " of " + owner.comment;
    if (claim == contents.claims.end()) {
      mend(port + " has no claim", claim_again(owner));
    } else if (claim->second.owner && *claim->second.owner != owner.owner) {
      find(port + " is claimed by another attachment (" + claim->second.comment + ")");
    }
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

  static bool has_target_anywhere(const Contents& contents, const nft::PublishedPort& port) {
    return std::any_of(contents.chains.begin(), contents.chains.end(),
                       [&](const std::string& chain) {
                         return contents.targets.contains({chain, port});
                       });
  }

  static nft::Transaction without(const nft::SetSpec& set, const nft::PublishedPort& port) {
    nft::Transaction transaction;
    transaction.operations.emplace_back(
        nft::Elements{nft::ElementVerb::remove, set, {}, {{nft::claim_key(port)}}});
    return transaction;
  }

  // Claims and targets that no owner entry stands for: nobody would ever remove them.
  void check_leftovers(const Contents& contents) {
    std::map<nft::PublishedPort, const nft::OwnerEntry*> owners;
    for (const nft::OwnerEntry& owner : contents.owners) owners.emplace(owner.published, &owner);
    for (const auto& [port, claim] : contents.claims)
      if (!owners.contains(port))
        mend("claim of " + to_string(port) + " (" + claim.comment + ") has no owner",
             without(nft::claim_spec(nft::suffix_of(port)), port));
    for (const auto& [key, target] : contents.targets) {
      const auto& [chain, port] = key;
      const auto owner = owners.find(port);
      if (owner != owners.end() && (owner->second->chain.empty() || owner->second->chain == chain))
        continue;
      mend("target of " + to_string(port) + " in chain " + chain + " (" + target.comment +
               ") has no owner",
           without(nft::target_spec(chain, nft::suffix_of(port)), port));
    }
  }

  // Without a table of ours, route_localnet is somebody else's business.
  Status check_guard(bool has_table) {
    if (!has_table) return {};
    const Result<bool> guarded = nft::has_guard(transport_);
    if (!guarded) return guarded.error();
    if (*guarded) return {};
    for (const std::string& device : host::devices_with_route_localnet()) {
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

}  // namespace portmapper::ctl
