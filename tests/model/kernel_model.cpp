#include "tests/model/kernel_model.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "nft/conflicts.hpp"
#include "nft/hairpin_fit.hpp"
#include "nft/hairpin_tag.hpp"
#include "nft/siblings.hpp"
#include "nft/userdata.hpp"

namespace portmapper::model {
namespace {

std::string text_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::span<const std::uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string id_of(const nft::Element& element) {
  return text_of(element.key.bytes()) + text_of(element.key_end.bytes());
}

nft::ElementData data_of(const KernelModel::Value& value) {
  return nft::parse_element_data(bytes_of(value.userdata));
}

// Of two elements of an interval set of pairs: halves of one width, first and last of each.
bool overlap(const std::string& a, const std::string& b) {
  const std::size_t width = a.size() / 4;
  for (std::size_t field = 0; field < 2; ++field) {
    const auto first = [&](const std::string& e) { return e.substr(field * width, width); };
    const auto last = [&](const std::string& e) { return e.substr((field + 2) * width, width); };
    if (last(a) < first(b) || last(b) < first(a)) return false;
  }
  return true;
}

std::optional<Family> hairpin_family(const std::string& set) {
  for (const Family family : {Family::ipv4, Family::ipv6})
    if (nft::hairpin_set(family) == set) return family;
  return std::nullopt;
}

}  // namespace

LifeSigns life_signs(const Question& question, const NetworkNamespace& netns) {
  if (question.hidden != nullptr && question.hidden->contains(netns.inode)) return {};
  if (!question.living->contains(netns.inode)) return {.netns = NamespaceState::gone};
  return {NamespaceState::exists, AddressState::inside};
}

// One operation; 0 or the errno with which the kernel refuses it.
struct KernelModel::Apply {
  KernelModel& kernel;
  bool changed = false;

  int operator()(const nft::AddTable&) {
    changed |= !kernel.has_table_;
    kernel.has_table_ = true;
    return 0;
  }
  int operator()(const nft::CreateTable&) {
    if (kernel.has_table_) return EEXIST;
    changed = true;
    kernel.has_table_ = true;
    return 0;
  }
  int operator()(const nft::DeleteTable&) {
    if (!kernel.has_table_) return ENOENT;
    kernel.flush_ruleset();
    return 0;
  }
  int operator()(const nft::AddSet& add) {
    if (!kernel.has_table_) return ENOENT;
    changed |= kernel.sets_.try_emplace(add.set.name, Set{add.set.interval, {}}).second;
    return 0;
  }
  int operator()(const nft::DeleteSet& set) {
    changed = true;
    return kernel.sets_.erase(set.name) == 0 ? ENOENT : 0;
  }
  int operator()(const nft::FlushSet& set) {
    const auto found = kernel.sets_.find(set.name);
    if (found == kernel.sets_.end()) return ENOENT;
    changed |= !found->second.elements.empty();
    found->second.elements.clear();
    return 0;
  }
  int operator()(const nft::AddChain& add) {
    if (!kernel.has_table_) return ENOENT;
    const nft::ChainOwner owner = add.owner.value_or(nft::ChainOwner());
    changed |= kernel.chains_.try_emplace(add.name, Chain{add.hook, owner, {}, {}}).second;
    return 0;
  }
  int operator()(const nft::DeleteChain& chain) {
    for (const auto& [name, other] : kernel.chains_)
      if (other.jumps.contains(chain.name)) return EBUSY;
    changed = true;
    return kernel.chains_.erase(chain.name) == 0 ? ENOENT : 0;
  }
  int operator()(const nft::FlushChain& chain) {
    const auto found = kernel.chains_.find(chain.name);
    if (found == kernel.chains_.end()) return ENOENT;
    changed |= !found->second.rules.empty();
    found->second.rules.clear();
    found->second.jumps.clear();
    return 0;
  }
  int operator()(const nft::AddRule& add) {
    const auto chain = kernel.chains_.find(add.chain);
    if (chain == kernel.chains_.end()) return ENOENT;
    std::string target;
    if (const auto* jump = std::get_if<nft::Jump>(&add.rule.action)) target = jump->chain;
    if (const auto* go = std::get_if<nft::Goto>(&add.rule.action)) target = go->chain;
    if (!target.empty()) {
      if (!kernel.chains_.contains(target)) return ENOENT;
      chain->second.jumps.insert(target);
    }
    const auto* translate = std::get_if<nft::Translate>(&add.rule.action);
    if (translate != nullptr && !kernel.sets_.contains(translate->map)) return ENOENT;
    changed = true;
    chain->second.rules.push_back(nft::fingerprint(add.rule));
    return 0;
  }
  int operator()(const nft::Elements& elements) {
    const auto set = kernel.sets_.find(elements.set.name);
    if (set == kernel.sets_.end()) return ENOENT;
    for (const nft::Element& element : elements.elements)
      if (const int refused = change(set->second, elements, element); refused != 0) return refused;
    return 0;
  }

 private:
  int change(Set& set, const nft::Elements& elements, const nft::Element& element) {
    const std::string id = id_of(element);
    if (elements.verb == nft::ElementVerb::remove) {
      changed = true;
      return set.elements.erase(id) == 0 ? ENOENT : 0;
    }
    const bool exists = set.elements.contains(id);
    if (exists) return elements.verb == nft::ElementVerb::add ? 0 : EEXIST;
    if (set.interval)
      for (const auto& [other, value] : set.elements)
        if (overlap(id, other)) return EEXIST;
    changed = true;
    set.elements.emplace(id, Value{element.data, elements.userdata});
    return 0;
  }
};

nft::CommitResult KernelModel::commit(const nft::Transaction& transaction) {
  if (transaction.generation && *transaction.generation != generation_)
    return {.refusal = nft::Refusal{.error_number = ERESTART, .generation = true}};
  KernelModel before = *this;
  Apply apply{*this};
  for (std::size_t i = 0; i < transaction.operations.size(); ++i) {
    const int refused = std::visit(apply, transaction.operations[i]);
    if (refused == 0) continue;
    *this = std::move(before);
    return {.refusal = nft::Refusal{.error_number = refused, .operation = i}};
  }
  // A batch that comes to nothing is no new generation.
  if (apply.changed) ++generation_;
  return {};
}

void KernelModel::flush_ruleset() {
  has_table_ = false;
  sets_.clear();
  chains_.clear();
  ++generation_;
}

void KernelModel::flush_set(const std::string& name) {
  const auto found = sets_.find(name);
  if (found == sets_.end()) return;
  if (!found->second.elements.empty()) ++generation_;
  found->second.elements.clear();
}

const KernelModel::Set* KernelModel::find_set(const std::string& name) const {
  const auto found = sets_.find(name);
  return found == sets_.end() ? nullptr : &found->second;
}

bool KernelModel::is_empty(const std::string& name) const {
  const Set* const set = find_set(name);
  return set == nullptr || set->elements.empty();
}

bool KernelModel::is_claimed(const nft::PublishedPort& port) const {
  const Set* const set = find_set(nft::claim_set(nft::suffix_of(port)));
  return set != nullptr && set->elements.contains(text_of(nft::claim_key(port).bytes()));
}

std::optional<nft::OwnerHash> KernelModel::claimed_by(const nft::PublishedPort& port) const {
  const Set* const set = find_set(nft::claim_set(nft::suffix_of(port)));
  if (set == nullptr) return std::nullopt;
  const auto found = set->elements.find(text_of(nft::claim_key(port).bytes()));
  return found == set->elements.end() ? std::nullopt : data_of(found->second).owner;
}

std::optional<nft::Endpoint> KernelModel::target(const std::string& chain,
                                                 const nft::PublishedPort& port) const {
  const Set* const set = find_set(nft::target_map(chain, nft::suffix_of(port)));
  if (set == nullptr) return std::nullopt;
  const auto found = set->elements.find(text_of(nft::claim_key(port).bytes()));
  if (found == set->elements.end()) return std::nullopt;
  return nft::parse_target_data(found->second.data.bytes(), port.address.family());
}

std::vector<nft::OwnerEntry> KernelModel::owners() const {
  std::vector<nft::OwnerEntry> entries;
  const Set* const set = find_set(nft::kOwners);
  if (set == nullptr) return entries;
  for (const auto& [id, value] : set->elements) {
    const auto published = nft::parse_owner_data(value.data.bytes());
    if (!published) continue;
    const nft::ElementData data = data_of(value);
    nft::OwnerEntry entry{.comment = data.comment,
                          .netns = data.netns,
                          .chain = data.chain,
                          .published = *published,
                          .network = data.network,
                          .container = data.container};
    std::copy_n(id.begin(), entry.owner.size(), entry.owner.begin());
    std::memcpy(&entry.index, id.data() + 16, sizeof entry.index);
    entry.standby = standby(entry.owner, entry.index);
    entries.push_back(std::move(entry));
  }
  return entries;
}

nft::InstalledPorts KernelModel::installed(const nft::OwnerHash& owner,
                                           const std::string& chain) const {
  nft::InstalledPorts installed;
  installed.may_be_masqueraded = false;  // there is no such table
  installed.owner = owner;
  installed.chain = chain;
  const Set* const set = find_set(nft::kOwners);
  if (set == nullptr) return installed;
  for (std::uint32_t index = 0; index < 16; ++index) {
    const auto found = set->elements.find(text_of(nft::owner_key(owner, index).bytes()));
    if (found == set->elements.end()) continue;
    if (installed.ports.empty()) {
      const nft::ElementData data = data_of(found->second);
      installed.comment = data.comment;
      installed.netns = data.netns;
      if (!data.chain.empty()) installed.chain = data.chain;
      installed.hairpin = data.hairpin;
      installed.wish = data.wish;
      installed.restored = data.restored;
      installed.container = data.container;
      installed.count = data.count;
    }
    installed.ports.push_back(
        {index, *nft::parse_owner_data(found->second.data.bytes()), false, {}});
  }
  add_standby(installed);
  std::vector<IpAddress> endpoints;
  for (nft::InstalledPort& port : installed.ports) {
    const std::optional<nft::OwnerHash> claim = claimed_by(port.published);
    const bool exists = is_claimed(port.published);
    port.claimed = exists && (claim ? *claim == owner : !port.standby);
    if (port.claimed || (!exists && !port.standby))
      port.endpoint = target(installed.chain, port.published);
    for (const std::optional<nft::Endpoint>& endpoint : {port.endpoint, port.standby})
      if (installed.hairpin != 0 && endpoint) endpoints.push_back(endpoint->address);
  }
  if (!installed.empty()) installed.hairpins = nft::hairpins_of_tag(installed.hairpin, endpoints);
  return installed;
}

std::vector<nft::PublishedPort> KernelModel::overlaps(const nft::Plan& plan) const {
  std::vector<nft::PublishedPort> claims;
  for (const nft::Suffix suffix : nft::kSuffixes)
    if (const Set* const set = find_set(nft::claim_set(suffix)))
      for (const auto& [id, value] : set->elements)
        if (const auto port = nft::parse_claim_key(bytes_of(id), suffix)) claims.push_back(*port);
  const nft::Plan* const plans[] = {&plan};
  return nft::overlaps_of(plans, claims);
}

std::optional<nft::Endpoint> KernelModel::standby(const nft::OwnerHash& owner,
                                                  std::uint32_t index) const {
  const Set* const set = find_set(nft::kStandby);
  if (set == nullptr) return std::nullopt;
  const auto found = set->elements.find(text_of(nft::owner_key(owner, index).bytes()));
  if (found == set->elements.end()) return std::nullopt;
  return nft::parse_standby_data(found->second.data.bytes());
}

void KernelModel::add_standby(nft::InstalledPorts& installed) const {
  const Set* const set = find_set(nft::kStandby);
  if (set == nullptr) return;
  const std::optional<nft::OwnerHash> container = nft::container_of(installed);
  std::set<nft::OwnerHash> others;
  for (const auto& [id, value] : set->elements) {
    nft::OwnerHash hash{};
    std::uint32_t index = 0;
    std::copy_n(id.begin(), hash.size(), hash.begin());
    std::memcpy(&index, id.data() + 16, sizeof index);
    const std::string comment = data_of(value).comment;
    if (hash != installed.owner) {
      const auto named = nft::parse_container_comment(comment);
      if (named && container == nft::container_hash(*named)) others.insert(hash);
      continue;
    }
    const auto port =
        std::find_if(installed.ports.begin(), installed.ports.end(),
                     [index](const nft::InstalledPort& one) { return one.index == index; });
    if (port == installed.ports.end()) {
      installed.strays.push_back(index);
      continue;
    }
    port->standby = standby(hash, index);
    if (installed.standby_comment.empty()) installed.standby_comment = comment;
  }
  installed.standing_by.assign(others.begin(), others.end());
}

std::map<nft::OwnerHash, nft::Sibling> KernelModel::siblings(const nft::InstalledPorts& own,
                                                             const Question& question) const {
  std::map<nft::OwnerHash, nft::Sibling> all;
  for (const nft::OwnerHash& hash : own.standing_by) {
    nft::Sibling& sibling = all[hash];
    const nft::InstalledPorts held = installed(hash, own.chain);
    sibling.state.installed = held;
    if (held.empty()) continue;
    if (question.living->contains(held.netns.inode))
      sibling.state.life.netns = NamespaceState::exists;
    nft::Plan plan;
    plan.chain.name = held.chain;
    for (const nft::InstalledPort& port : held.ports)
      if (port.standby) plan.translations.push_back({port.published, *port.standby});
    sibling.around = occupied(plan);
  }
  return all;
}

std::vector<nft::OccupiedPort> KernelModel::occupied(const nft::Plan& plan) const {
  std::vector<nft::OccupiedPort> ports;
  for (const nft::PublishedPort& port : nft::overlapping_ports(plan, overlaps(plan))) {
    nft::OccupiedPort occupied{.port = port,
                               .claimed = is_claimed(port),
                               .owner = claimed_by(port),
                               .target = target(plan.chain.name, port)};
    if (!occupied.owner && (occupied.claimed || occupied.target))
      for (const nft::OwnerEntry& entry : owners())
        if (entry.published == port && !entry.standby &&
            (!occupied.owner || entry.owner < *occupied.owner))
          occupied.owner = entry.owner;
    ports.push_back(std::move(occupied));
  }
  return ports;
}

nft::Occupancy KernelModel::occupancy(const Question& question) const {
  const nft::Plan& plan = *question.plan;
  nft::Occupancy occupancy{.ports = occupied(plan), .owners = {}};
  const nft::OwnerHash self = nft::owner_hash(plan.attachment);
  std::set<nft::OwnerHash> hashes = {self};
  for (const nft::OccupiedPort& port : occupancy.ports)
    if (port.owner) hashes.insert(*port.owner);
  for (const nft::OwnerHash& hash : hashes) {
    nft::OwnerState& state = occupancy.owners[hash];
    state.installed = installed(hash, plan.chain.name);
    if (hash == self || state.installed.empty()) continue;
    state.life = life_signs(question, state.installed.netns);
  }
  return occupancy;
}

std::vector<nft::Hairpin> KernelModel::hairpins() const {
  std::vector<nft::Hairpin> all;
  for (const auto& [name, set] : sets_) {
    const std::optional<Family> family = hairpin_family(name);
    if (!family) continue;
    for (const auto& [id, value] : set.elements) {
      const auto bytes = bytes_of(id);
      const std::size_t half = bytes.size() / 2;
      if (const auto pair = nft::parse_hairpin_key(bytes.first(half), bytes.subspan(half), *family))
        all.push_back({pair->first, pair->second});
    }
  }
  return all;
}

std::vector<std::string> KernelModel::network_chains() const {
  std::vector<std::string> names;
  for (const auto& [name, chain] : chains_)
    if (!chain.hook && sets_.contains(nft::target_map(name, nft::kSuffixes.back())))
      names.push_back(name);
  return names;
}

bool KernelModel::has_hairpin(const nft::Hairpin& hairpin) const {
  const std::vector<nft::Hairpin> all = hairpins();
  return nft::fit_hairpins({&hairpin, 1}, all).add.empty();
}

std::string KernelModel::text() const {
  std::string text = has_table_ ? "table\n" : "";
  for (const auto& [name, set] : sets_) {
    text += "set " + name + "\n";
    for (const auto& [id, value] : set.elements)
      text += id + "\x1f" + text_of(value.data.bytes()) + "\x1f" + value.userdata + "\n";
  }
  for (const auto& [name, chain] : chains_) {
    text += "chain " + name + "\n";
    for (const std::uint64_t rule : chain.rules) text += std::to_string(rule) + "\n";
  }
  return text;
}

}  // namespace portmapper::model
