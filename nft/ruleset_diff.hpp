// diff_ruleset: the table's chains and rules, as read, against those that we build.
//
//   RulesetDiff diff = diff_ruleset(view, expected_chains(&plan.chain), &plan.chain);
//   diff.intact();
//
// A pure function of a RulesetView, which nft/read fills. Rules are compared by the fingerprint that
// each of ours carries as userdata, and where that is lost or another version's, by what they do
// (nft/rule_form). Chain `networks` holds a jump for each network, so nobody knows all of it: but
// each of its rules is one of ours, and the network asked about is jumped to once. Errors: none.
// Source: packaging/doc/design.md, "The ruleset".
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nft/rule_form.hpp"
#include "nft/ruleset.hpp"
#include "nft/snapshot.hpp"

namespace portmapper::nft {

struct RuleView {
  std::uint64_t fingerprint = 0;  // 0: a rule without one
  RulePlace place{};
  RuleForm form{};  // read where fingerprints alone do not make it ours
};

struct ChainView {
  std::string name{};
  struct BaseHook {
    std::string type;
    std::uint32_t number = 0;
    std::int32_t priority = 0;
    std::uint32_t policy = 0;
  };
  std::optional<BaseHook> hook{};
  std::vector<RuleView> rules{};
  ChainOwner owner{};
};

struct RulesetView {
  bool is_dormant = false;
  std::vector<ChainView> chains;  // those that exist

  [[nodiscard]] const ChainView* find(std::string_view name) const;
};

// The chains that a diff needs to see: the skeleton's, and that of `network` where there is one.
std::vector<ChainSpec> expected_chains(const NetworkChain* network);

// Whether it is worth to look what the rules do: some are there that fingerprints do not make ours.
bool may_be_encoded_otherwise(const RulesetView& view, const std::vector<Damage>& damage);

std::vector<ChainSpec> guard_chains();  // localnet-guard and localnet-guard-input

// `expected`: of expected_chains(network).
RulesetDiff diff_ruleset(const RulesetView& view, const std::vector<ChainSpec>& expected,
                         const NetworkChain* network);
// Of chains that are known whole.
RulesetDiff diff_chains(const RulesetView& view, const std::vector<ChainSpec>& chains);
// The same of guard_chains().
RulesetDiff diff_guard(const RulesetView& view);

// `name` and `networks` of a view against what every network chain has, whatever its configuration.
// `wanted`: what is known of configurations. They are asked where the rules do not tell their places,
// and only those that the chain's record is of.
ChainDamage diff_network_chain(const RulesetView& view, const std::string& name,
                               std::span<const NetworkChain* const> wanted = {});

}  // namespace portmapper::nft
