// KernelModel: what the kernel does with our batches, as plain data.
//
//   KernelModel kernel;
//   nft::CommitResult result = kernel.commit(transaction);   // all of it or none of it
//   Status read = kernel.look(subject, nft::Section::ruleset, snapshot);
//
// Knows what the decisions rest on: elements and NLM_F_EXCL, overlapping intervals, chains, jumps
// and their rules' fingerprints, and the generation. tests/kernel/model_test.cpp holds it against
// the real one. Source: kernel net/netfilter/nf_tables_api.c, nft_set_pipapo.c.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "nft/commit.hpp"
#include "nft/owner_entry.hpp"
#include "nft/snapshot.hpp"
#include "nft/transaction.hpp"

namespace portmapper::model {

// What a command is about, and what the host around the table is like.
struct Question {
  const nft::Plan* plan = nullptr;
  const nft::NetworkChain* network = nullptr;
  nft::OwnerHash owner{};
  std::string chain{};
  std::span<const nft::Plan* const> plans{};
  const std::set<std::uint64_t>* living = nullptr;  // inodes of the namespaces that exist
  const std::set<std::uint64_t>* hidden = nullptr;  // of those that nobody can see, dead or alive
};

// What a look at the host says of an owner with this namespace.
LifeSigns life_signs(const Question& question, const NetworkNamespace& netns);

class KernelModel {
 public:
  struct Value {
    nft::Key data;
    std::string userdata;
    bool operator==(const Value&) const = default;
  };
  struct Set {
    bool interval = false;
    std::map<std::string, Value> elements;  // by the bytes of key and end of key
    bool operator==(const Set&) const = default;
  };
  struct Chain {
    std::optional<nft::Hook> hook;
    nft::ChainOwner owner;
    std::vector<std::uint64_t> rules;
    std::set<std::string> jumps;
  };

  nft::CommitResult commit(const nft::Transaction& transaction);
  void look(const Question& question, nft::Section section, nft::Snapshot& snapshot) const;

  [[nodiscard]] std::vector<nft::OwnerEntry> owners() const;
  [[nodiscard]] std::optional<nft::OwnerHash> claimed_by(const nft::PublishedPort& port) const;
  [[nodiscard]] bool is_claimed(const nft::PublishedPort& port) const;
  [[nodiscard]] std::optional<nft::Endpoint> target(const std::string& chain,
                                                    const nft::PublishedPort& port) const;
  [[nodiscard]] nft::InstalledPorts installed(const nft::OwnerHash& owner,
                                              const std::string& chain) const;
  // Where an owner's entry would lead while a sibling publishes its port.
  [[nodiscard]] std::optional<nft::Endpoint> standby(const nft::OwnerHash& owner,
                                                     std::uint32_t index) const;
  [[nodiscard]] bool has_hairpin(const nft::Hairpin& hairpin) const;
  [[nodiscard]] std::string text() const;  // everything, for comparison

  // The operator.
  void flush_ruleset();
  void flush_set(const std::string& name);

  [[nodiscard]] std::uint32_t generation() const { return generation_; }
  [[nodiscard]] bool has_table() const { return has_table_; }
  [[nodiscard]] const std::map<std::string, Set>& sets() const { return sets_; }
  [[nodiscard]] const std::map<std::string, Chain>& chains() const { return chains_; }

 private:
  struct Apply;

  [[nodiscard]] const Set* find_set(const std::string& name) const;
  [[nodiscard]] std::vector<nft::PublishedPort> overlaps(const nft::Plan& plan) const;
  [[nodiscard]] nft::Occupancy occupancy(const Question& question) const;
  [[nodiscard]] std::vector<nft::OccupiedPort> occupied(const nft::Plan& plan) const;
  [[nodiscard]] std::map<nft::OwnerHash, nft::Sibling> siblings(const nft::InstalledPorts& own,
                                                                const Question& question) const;
  void add_standby(nft::InstalledPorts& installed) const;
  [[nodiscard]] std::vector<nft::Hairpin> hairpins() const;
  [[nodiscard]] std::vector<std::string> network_chains() const;
  [[nodiscard]] bool is_empty(const std::string& set) const;
  [[nodiscard]] const nft::RulesetDiff& diff(const nft::NetworkChain* network) const;

  std::uint32_t generation_ = 1;
  bool has_table_ = false;
  std::map<std::string, Set> sets_;
  std::map<std::string, Chain> chains_;
};

}  // namespace portmapper::model
