#include "nft/egress_state.hpp"

#include <algorithm>
#include <optional>
#include <set>

#include "nft/key.hpp"
#include "nft/userdata.hpp"

namespace portmapper::nft {
namespace {

std::string egress_chain_of(const EgressSource& source) {
  return egress_chain_name(source.network);
}

// Sets are one kind of objects, chains another, but no set of ours has the name of a chain.
bool has_damage(const EgressState& state, Damage::Kind kind, std::string_view object) {
  return std::any_of(state.damage.begin(), state.damage.end(), [&](const Damage& damage) {
    return damage.kind == kind && damage.object == object;
  });
}

bool has_rules(const EgressRules& rules, const std::string& chain) {
  const auto found = rules.find(chain);
  return found != rules.end() && !found->second.empty();
}

// From one look at the table to what is to be there: what one owner wants, beside all others.
class EgressChange {
 public:
  EgressChange(const OwnerHash& owner, const EgressState& state) : owner_(owner), state_(state) {
    transaction_.generation = state.generation;
    transaction_.table = kEgressTable;
    for (const EgressEntry& entry : state.owners)
      if (entry.owner == owner)
        own_.push_back(&entry);
      else if (entry.record != EgressEntry::Record::nobodys)
        others_.push_back(&entry);
  }

  [[nodiscard]] bool has_own() const { return !own_.empty(); }
  [[nodiscard]] bool has_others() const { return !others_.empty(); }

  void build(const Plan& plan) {
    builds_ = true;
    add(AddTable{});
    if (state_.exists) make_room();
    for (const SetSpec& set : egress_sets()) add(AddSet{set});
    std::set<std::string> built;
    for (const EgressSource& source : plan.egress)
      if (built.insert(egress_chain_of(source)).second) build(egress_chain(source.network));
    build(egress_base_chain());
  }

  // Leads the plan's addresses, and takes out what the owner had beside. Without a plan, all of it.
  void replace(const Plan* plan) {
    std::map<IpAddress, std::optional<EgressTarget>> targets;
    for (const EgressEntry* entry : own_)
      targets[entry->address] = target_of_others(entry->address);
    if (builds_)
      for (const EgressEntry* entry : others_)
        if (lacks(egress_sources_spec(entry->address.family())))
          targets[entry->address] = target_of_others(entry->address);
    if (plan != nullptr)
      for (const EgressSource& source : plan->egress)
        targets[source.address] =
            EgressTarget{egress_chain_of(source), attachment_comment(plan->attachment)};
    for (const auto& [address, target] : targets) lead(address, target);
    for (const EgressEntry* entry : own_)
      if (entry->record == EgressEntry::Record::whole)
        add(Elements{
            ElementVerb::remove, egress_owners_spec(), {}, {{owner_key(owner_, entry->index)}}});
    if (plan != nullptr) own(*plan);
    delete_chains(plan);
  }

  // Those of others that lead nowhere, where a chain of theirs is there.
  void lead_again(const EgressRules& rules) {
    std::set<IpAddress> done;
    for (const EgressEntry* entry : others_) {
      const auto target = target_of_others(entry->address);
      if (state_.sources.contains(entry->address) || !target || !has_rules(rules, target->chain) ||
          !done.insert(entry->address).second)
        continue;
      lead(entry->address, target);
    }
  }

  void delete_table() { add(DeleteTable{}); }
  Transaction take() { return std::move(transaction_); }

 private:
  void add(Operation operation) { transaction_.operations.push_back(std::move(operation)); }

  void build(ChainSpec chain) {
    add(AddChain{chain.name, chain.hook, chain.owner});
    add(FlushChain{chain.name});
    for (Rule& rule : chain.rules) add(AddRule{chain.name, std::move(rule)});
  }

  // Another hook is not changed, and another type neither: what has it goes first.
  void make_room() {
    if (!has_damage(state_, Damage::Kind::missing_chain, kPostrouting))
      add(FlushChain{kPostrouting});
    if (has_damage(state_, Damage::Kind::other_hook, kPostrouting)) add(DeleteChain{kPostrouting});
    for (const SetSpec& set : egress_sets())
      if (has_damage(state_, Damage::Kind::other_type, set.name)) add(DeleteSet{set.name});
  }
  [[nodiscard]] bool lacks(const SetSpec& set) const {
    return has_damage(state_, Damage::Kind::other_type, set.name) ||
           has_damage(state_, Damage::Kind::missing_set, set.name);
  }

  // Where an address goes that another attachment wants: where it goes now, if that is one of theirs.
  [[nodiscard]] std::optional<EgressTarget> target_of_others(const IpAddress& address) const {
    const auto now = state_.sources.find(address);
    std::optional<EgressTarget> target;
    for (const EgressEntry* entry : others_) {
      if (entry->address != address || entry->chain.empty()) continue;
      EgressTarget theirs{entry->chain, entry->comment};
      if (now != state_.sources.end() && now->second == theirs) return theirs;
      if (!target) target = std::move(theirs);
    }
    return target;
  }

  void lead(const IpAddress& address, const std::optional<EgressTarget>& target) {
    const auto now = state_.sources.find(address);
    const bool is_there = now != state_.sources.end();
    if (is_there && target && now->second == *target) return;
    const SetSpec set = egress_sources_spec(address.family());
    if (lacks(set) && !builds_) return;
    const std::vector<Element> element = {{egress_source_key(address)}};
    if (is_there) add(Elements{ElementVerb::remove, set, {}, element});
    if (target)
      add(Elements{ElementVerb::create, set, encode(ElementData{.comment = target->comment}),
                   element, target->chain});
  }

  void own(const Plan& plan) {
    std::uint32_t index = 0;
    for (const EgressSource& source : plan.egress) {
      ElementData data{.comment = attachment_comment(plan.attachment),
                       .netns = plan.netns,
                       .chain = egress_chain_of(source),
                       .restored = plan.is_restored,
                       .count = static_cast<std::uint32_t>(plan.egress.size()),
                       .pod = plan.pod};
      keep_identity(data, plan.attachment);
      add(Elements{ElementVerb::create,
                   egress_owners_spec(),
                   encode(data),
                   {{owner_key(owner_, index++), {}, egress_owner_data(source.address)}}});
    }
  }

  // Those that the owner had and that nobody wants any more. One may be gone already.
  void delete_chains(const Plan* plan) {
    std::set<std::string> unwanted;
    for (const EgressEntry* entry : own_)
      if (!entry->chain.empty()) unwanted.insert(entry->chain);
    for (const EgressEntry* entry : others_) unwanted.erase(entry->chain);
    if (plan != nullptr)
      for (const EgressSource& source : plan->egress) unwanted.erase(egress_chain_of(source));
    // What no owner has would keep the chain.
    for (const auto& [address, target] : state_.sources)
      if (unwanted.contains(target.chain) && !is_owned(address, plan)) lead(address, std::nullopt);
    for (const std::string& chain : unwanted) {
      add(AddChain{chain});
      add(FlushChain{chain});
      add(DeleteChain{chain});
    }
  }
  [[nodiscard]] bool is_owned(const IpAddress& address, const Plan* plan) const {
    const auto has = [&address](const auto& one) { return one.address == address; };
    const auto is_of = [&has](const EgressEntry* entry) { return has(*entry); };
    return std::any_of(others_.begin(), others_.end(), is_of) ||
           std::any_of(own_.begin(), own_.end(), is_of) ||
           (plan != nullptr && std::any_of(plan->egress.begin(), plan->egress.end(), has));
  }

  const OwnerHash& owner_;
  const EgressState& state_;
  std::vector<const EgressEntry*> own_;
  std::vector<const EgressEntry*> others_;
  bool builds_ = false;
  Transaction transaction_;
};

std::vector<RuleForm> egress_forms_of(const ChainSpec& chain) {
  std::vector<RuleForm> all;
  for (const Rule& rule : chain.rules) all.push_back(rule_form(rule));
  return all;
}

class EgressCheck {
 public:
  EgressCheck(const EgressState& state, const EgressRules& rules) : state_(state), rules_(rules) {}

  void table() {
    for (const Damage& damage : state_.damage) find_mendable(to_string(damage));
    const ChainSpec base = egress_base_chain();
    if (!has_damage(state_, Damage::Kind::missing_chain, kPostrouting) && !is_built(base))
      find_mendable(not_as_built(base));
  }
  void chain(const ChainSpec& chain) {
    if (!is_built(chain)) find(not_as_built(chain), "its next ADD builds it");
  }
  // It is led by its owner's chain, or by that of another attachment that has it.
  void address(const OwnerHash& owner, const IpAddress& address, const std::string& chain) {
    const auto target = state_.sources.find(address);
    bool is_owned = false;
    bool is_led = target != state_.sources.end() && target->second.chain == chain;
    for (const EgressEntry& entry : state_.owners) {
      if (entry.address != address) continue;
      is_owned = is_owned || (entry.owner == owner && entry.record == EgressEntry::Record::whole);
      is_led = is_led || (target != state_.sources.end() && target->second.chain == entry.chain);
    }
    if (!is_owned)
      find(address.to_string() + " has no owner entry",
           "nft-port-mapperctl restore writes it again, release CONTAINER ends it");
    if (target == state_.sources.end() && has_rules(rules_, chain))
      find_mendable(address.to_string() + " is not masqueraded");
    else if (target == state_.sources.end())
      find(address.to_string() + " is not masqueraded", kNextAdd);
    else if (!is_led)
      find(address.to_string() + " is led to " +
               (target->second.chain.empty() ? "no chain" : "chain " + target->second.chain) +
               ", not to " + chain,
           kNextAdd);
  }
  std::vector<EgressFinding> take() { return std::move(findings_); }

 private:
  static constexpr char kNextAdd[] = "nft-port-mapperctl restore, or its next ADD, repairs that";

  [[nodiscard]] bool is_built(const ChainSpec& chain) const {
    const auto found = rules_.find(chain.name);
    return found != rules_.end() && found->second == egress_forms_of(chain);
  }
  static std::string not_as_built(const ChainSpec& chain) {
    return "chain " + chain.name + " is not as an ADD builds it";
  }
  void find(const std::string& what, std::string advice) {
    findings_.push_back(
        {std::string("table inet ") + kEgressTable + ": " + what, std::move(advice)});
  }
  void find_mendable(const std::string& what) {
    find(what, {});
    findings_.back().is_mendable = true;
  }

  const EgressState& state_;
  const EgressRules& rules_;
  std::vector<EgressFinding> findings_;
};

// Whether an ADD of the attachment, which the plan is not, has given it another address.
bool has_newer(const Plan& plan, const OwnerHash& owner, const EgressState& state) {
  return std::any_of(state.owners.begin(), state.owners.end(), [&](const EgressEntry& entry) {
    return entry.owner == owner && entry.record == EgressEntry::Record::whole && !entry.restored &&
           entry.netns.is_known() &&  // not of a listing that was loaded
           std::none_of(plan.egress.begin(), plan.egress.end(),
                        [&entry](const auto& source) { return source.address == entry.address; });
  });
}

}  // namespace

Transaction decide_take_back(const OwnerHash& owner, const NetworkNamespace& netns,
                             const EgressState& state) {
  const bool is_anothers =
      std::any_of(state.owners.begin(), state.owners.end(), [&](const EgressEntry& entry) {
        return entry.owner == owner && entry.record == EgressEntry::Record::whole &&
               (entry.netns != netns || !entry.restored);
      });
  return is_anothers ? Transaction() : decide_unmasquerade(owner, state);
}

bool is_of_network(const EgressEntry& entry, std::string_view network) {
  return entry.network ? *entry.network == network_hash(network)
                       : is_of_network(entry.comment, network);
}

Transaction decide_masquerade(const Plan& plan, const EgressState& state) {
  const OwnerHash owner = owner_hash(plan.attachment);
  if (plan.is_restored && has_newer(plan, owner, state)) return {};
  EgressChange change(owner, state);
  change.build(plan);
  change.replace(&plan);
  return change.take();
}

Transaction decide_unmasquerade(const OwnerHash& owner, const EgressState& state,
                                LastOne last_one) {
  EgressChange change(owner, state);
  const bool is_last = state.exists && !change.has_others() && last_one == LastOne::takes_table;
  if (!change.has_own() && !is_last) return {};
  if (is_last)
    change.delete_table();
  else
    change.replace(nullptr);
  return change.take();
}

std::set<IpAddress> led_anew(const Transaction& transaction, const EgressState& state) {
  std::set<IpAddress> addresses;
  for (const Operation& operation : transaction.operations) {
    if (std::holds_alternative<DeleteTable>(operation))
      for (const auto& [address, target] : state.sources) addresses.insert(address);
    const auto* const elements = std::get_if<Elements>(&operation);
    if (elements == nullptr || elements->set.name == egress_owners_spec().name) continue;
    for (const Element& element : elements->elements)
      if (const auto address = parse_egress_address(element.key.bytes()))
        addresses.insert(*address);
  }
  return addresses;
}

Transaction without_chain_ends(Transaction transaction) {
  std::erase_if(transaction.operations, [](const Operation& operation) {
    return std::holds_alternative<DeleteChain>(operation);
  });
  return transaction;
}

std::vector<std::string> check_egress(const Plan& plan, const EgressState& state,
                                      const EgressRules& rules) {
  EgressCheck check(state, rules);
  check.table();
  std::set<std::string> checked;
  for (const EgressSource& source : plan.egress) {
    check.address(owner_hash(plan.attachment), source.address, egress_chain_of(source));
    if (checked.insert(egress_chain_of(source)).second) check.chain(egress_chain(source.network));
  }
  std::vector<std::string> findings;
  for (EgressFinding& finding : check.take()) findings.push_back(std::move(finding.what));
  return findings;
}

std::vector<EgressFinding> check_egress(const EgressState& state, const EgressRules& rules) {
  EgressCheck check(state, rules);
  check.table();
  for (const EgressEntry& entry : state.owners)
    check.address(entry.owner, entry.address, entry.chain);
  return check.take();
}

Transaction decide_egress_again(const EgressState& state, const EgressRules& rules) {
  EgressCheck check(state, rules);
  check.table();
  const OwnerHash nobody{};
  EgressChange change(nobody, state);
  if (!check.take().empty()) change.build(Plan());
  change.lead_again(rules);
  return change.take();
}

}  // namespace portmapper::nft
