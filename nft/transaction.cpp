#include "nft/transaction.hpp"

#include <algorithm>
#include <iterator>
#include <map>

#include "nft/hairpin_tag.hpp"
#include "nft/userdata.hpp"

namespace portmapper::nft {
namespace {

// Elements of one verb, gathered by set so that each set is one operation.
class BySet {
 public:
  BySet(ElementVerb verb, std::string userdata) : verb_(verb), userdata_(std::move(userdata)) {}

  std::vector<Element>& operator[](const SetSpec& set) {
    const auto found = std::find_if(operations_.begin(), operations_.end(),
                                    [&set](const Elements& e) { return e.set.name == set.name; });
    if (found != operations_.end()) return found->elements;
    return operations_.emplace_back(Elements{verb_, set, userdata_, {}}).elements;
  }
  void move_to(Transaction& transaction) {
    std::move(operations_.begin(), operations_.end(), std::back_inserter(transaction.operations));
  }

 private:
  ElementVerb verb_;
  std::string userdata_;
  std::vector<Elements> operations_;
};

Element element_of(const Hairpin& hairpin) {
  return {hairpin_key(hairpin.source, hairpin.destination),
          hairpin_key_end(hairpin.source, hairpin.destination)};
}

Transaction of_hairpins(ElementVerb verb, std::span<const Hairpin> hairpins) {
  BySet elements(verb, {});
  for (const Hairpin& hairpin : hairpins)
    elements[hairpin_spec(hairpin.destination.address.family())].push_back(element_of(hairpin));
  Transaction transaction;
  elements.move_to(transaction);
  return transaction;
}

// A standby element has the comment that its claim and its target will have.
ElementData standby_userdata(const std::string& comment, const OwnerHash& container) {
  ElementData data{.comment = comment};
  if (comment.size() > kLongComment || is_shortened(comment)) data.container = container;
  return data;
}

Transaction of_element(ElementVerb verb, SetSpec set, const Key& key) {
  Transaction transaction;
  transaction.operations.emplace_back(Elements{verb, std::move(set), {}, {{key}}});
  return transaction;
}

// The skeleton with `sets` and `chains` of networks.
Transaction build(std::vector<SetSpec> sets, std::vector<ChainSpec> chains,
                  std::span<const std::string> jumps, std::span<const std::string> replaced) {
  Transaction transaction;
  std::vector<Operation>& operations = transaction.operations;
  operations.emplace_back(AddTable{});
  for (SetSpec& set : skeleton_sets()) operations.emplace_back(AddSet{std::move(set)});
  for (SetSpec& set : sets) operations.emplace_back(AddSet{std::move(set)});

  if (!replaced.empty()) {  // which may be jumped to
    operations.emplace_back(AddChain{kNetworks});
    operations.emplace_back(FlushChain{kNetworks});
  }
  for (const std::string& chain : replaced) {
    operations.emplace_back(FlushChain{chain});
    operations.emplace_back(DeleteChain{chain});
  }
  const std::size_t networks = chains.size();
  // A rule may jump only to what is there, so the chains that are jumped to come first.
  chains.push_back(networks_chain(jumps));
  for (ChainSpec& chain : skeleton_chains()) chains.push_back(std::move(chain));
  for (std::size_t i = 0; i < chains.size(); ++i) {
    ChainSpec& chain = chains[i];
    operations.emplace_back(AddChain{chain.name, chain.hook, chain.owner});
    operations.emplace_back(FlushChain{chain.name});
    // All versions know what the other chains have.
    RulePlace place{.number = 0, .count = static_cast<std::uint32_t>(chain.rules.size())};
    for (Rule& rule : chain.rules) {
      ++place.number;
      operations.emplace_back(
          AddRule{chain.name, std::move(rule), i < networks ? place : RulePlace()});
    }
  }
  return transaction;
}

struct Print {
  const char* table;

  std::string operator()(const AddTable&) const {
    return std::string("add table inet ") + table + " { comment \"" + table_comment(table) +
           "\"; }\n";
  }
  std::string operator()(const CreateTable&) const {
    return std::string("create table inet ") + table + "\n";
  }
  std::string operator()(const DeleteTable&) const {
    return std::string("delete table inet ") + table + "\n";
  }
  std::string operator()(const AddSet& add) const {
    const char* kind = add.set.is_map() ? "map" : "set";
    return line(std::string("add ") + kind, add.set.name, "{ " + to_string(add.set) + "; }");
  }
  std::string operator()(const AddChain& add) const {
    std::string rest = add.hook ? "{ " + to_string(*add.hook) + " }" : "";
    if (add.owner) rest = "{ comment \"" + add.owner->comment + "\"; }";
    return line("add chain", add.name, rest);
  }
  std::string operator()(const DeleteChain& chain) const {
    return line("delete chain", chain.name, "");
  }
  std::string operator()(const FlushChain& chain) const {
    return line("flush chain", chain.name, "");
  }
  std::string operator()(const DeleteSet& set) const { return line("delete set", set.name, ""); }
  std::string operator()(const FlushSet& set) const { return line("flush set", set.name, ""); }
  std::string operator()(const AddRule& add) const {
    return line("add rule", add.chain, to_string(add.rule));
  }
  std::string operator()(const Elements& elements) const {
    std::string text;
    for (const Element& element : elements.elements) {
      const std::string key = key_text(elements, element);
      if (elements.verb == ElementVerb::remove) {
        text += line("delete element", elements.set.name, "{ " + key + " }");
        continue;
      }
      const char* verb = elements.verb == ElementVerb::create ? "create element" : "add element";
      text += line(verb, elements.set.name,
                   "{ " + key + comment(elements) + data(elements, element) + " }");
    }
    return text;
  }

 private:
  [[nodiscard]] std::string line(const std::string& verb, const std::string& name,
                                 const std::string& rest) const {
    return verb + " inet " + table + " " + name + (rest.empty() ? "" : " ") + rest + "\n";
  }
  static std::string key_text(const Elements& elements, const Element& element) {
    if (element.key_end.empty()) return format_key(elements.set.key, element.key.bytes());
    return format_interval(elements.set.key, element.key.bytes(), element.key_end.bytes());
  }
  static std::string comment(const Elements& elements) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(elements.userdata.data());
    const std::string listed = listed_comment({bytes, elements.userdata.size()});
    return listed.empty() ? "" : " comment \"" + listed + "\"";
  }
  static std::string data(const Elements& elements, const Element& element) {
    if (!elements.chain.empty()) return " : goto " + elements.chain;
    return element.data.empty() ? "" : " : " + format_key(elements.set.data, element.data.bytes());
  }
};

}  // namespace

void Transaction::append(Transaction other) {
  std::move(other.operations.begin(), other.operations.end(), std::back_inserter(operations));
}

Transaction insertion(const Plan& plan) {
  Transaction transaction = insertion_of_ports(plan);
  transaction.append(addition(plan.hairpins));
  return transaction;
}

Transaction insertion_of_ports(const Plan& plan) {
  const OwnerHash hash = owner_hash(plan.attachment);
  const std::string comment = container_comment(plan.attachment.container_id);
  BySet claims(ElementVerb::create, encode({.comment = comment, .owner = hash}));
  BySet targets(ElementVerb::create, encode(ElementData{.comment = comment}));
  ElementData owner{.comment = attachment_comment(plan.attachment),
                    .netns = plan.netns,
                    .chain = plan.chain.name,
                    .hairpin = hairpin_tag(plan.hairpins),
                    .wish = hairpin_wish(plan.hairpins),
                    .restored = plan.is_restored,
                    .count = static_cast<std::uint32_t>(plan.translations.size()),
                    .pod = plan.pod};
  const OwnerHash container = container_hash(plan.attachment.container_id);
  keep_identity(owner, plan.attachment);
  BySet owners(ElementVerb::create, encode(owner));
  BySet standbys(ElementVerb::create, encode(standby_userdata(comment, container)));
  BySet loopback(ElementVerb::add, encode(ElementData{.comment = comment}));
  // Of a port that loopback is not to reach: what was left there would hide a process of the host. Added
  // first, so that its removal does not fail. No other can need it: the port on any address is ours.
  BySet stale(ElementVerb::add, {});
  BySet unlisted(ElementVerb::remove, {});
  BySet user(ElementVerb::add, encode(ElementData{.comment = attachment_comment(plan.attachment)}));
  for (const Family family : kFamilies)
    if (const std::string& device = loopback_device(plan, family); !device.empty())
      user[device_users_spec(family)].push_back({device_user_key(hash), {}, device_key(device)});
  std::uint32_t index = 0;
  for (const Translation& translation : plan.translations) {
    const PublishedPort& port = translation.published;
    const Suffix suffix = suffix_of(port);
    const Key key = claim_key(port);
    const Key entry = owner_key(hash, index++);
    owners[owners_spec()].push_back({entry, {}, owner_data(port)});
    if (translation.standby) {
      standbys[standby_spec()].push_back({entry, {}, standby_data(translation.endpoint)});
      continue;
    }
    claims[claim_spec(suffix)].push_back({key});
    targets[target_spec(plan.chain.name, suffix)].push_back(
        {key, {}, target_data(translation.endpoint)});
    const SetSpec listed = loopback_spec(suffix.family);
    if (!loopback_device(plan, suffix.family).empty() && is_reachable_by_loopback(port)) {
      loopback[listed].push_back({service_key(port)});
    } else if (port.address.is_any() && !wants_loopback(plan, suffix.family)) {
      stale[listed].push_back({service_key(port)});
      unlisted[listed].push_back({service_key(port)});
    }
  }
  Transaction transaction;
  claims.move_to(transaction);
  targets.move_to(transaction);
  owners.move_to(transaction);
  standbys.move_to(transaction);
  loopback.move_to(transaction);
  stale.move_to(transaction);
  unlisted.move_to(transaction);
  user.move_to(transaction);
  return transaction;
}

Transaction removal(const InstalledPorts& installed, bool with_hairpins) {
  BySet removed(ElementVerb::remove, {});
  for (const InstalledPort& port : installed.ports) {
    const Suffix suffix = suffix_of(port.published);
    const Key key = claim_key(port.published);
    if (port.index) removed[owners_spec()].push_back({owner_key(installed.owner, *port.index)});
    if (port.claimed) removed[claim_spec(suffix)].push_back({key});
    if (port.endpoint) removed[target_spec(installed.chain, suffix)].push_back({key});
    if (port.standby && port.index)
      removed[standby_spec()].push_back({owner_key(installed.owner, *port.index)});
    if (port.by_loopback)
      removed[loopback_spec(suffix.family)].push_back({service_key(port.published)});
  }
  for (const std::uint32_t stray : installed.strays)
    removed[standby_spec()].push_back({owner_key(installed.owner, stray)});
  for (const Family family : kFamilies)
    if (!loopback_device(installed, family).empty())
      removed[device_users_spec(family)].push_back({device_user_key(installed.owner)});
  // Added first, so that removing them does not fail if an operator removed them before.
  BySet present(ElementVerb::add, {});
  for (const Hairpin& hairpin : installed.hairpins) {
    if (!with_hairpins) break;
    const SetSpec set = hairpin_spec(hairpin.destination.address.family());
    present[set].push_back(element_of(hairpin));
    removed[set].push_back(element_of(hairpin));
  }
  Transaction transaction;
  present.move_to(transaction);
  removed.move_to(transaction);
  return transaction;
}

Transaction opened_device_added(Family family, const std::string& device) {
  return of_element(ElementVerb::add, opened_devices_spec(family), device_key(device));
}

Transaction opened_device_removed(Family family, const std::string& device) {
  return of_element(ElementVerb::remove, opened_devices_spec(family), device_key(device));
}

std::vector<std::string> closed_devices(const Transaction& transaction, Family family) {
  const std::string set = opened_devices_spec(family).name;
  std::vector<std::string> devices;
  for (const Operation& operation : transaction.operations) {
    const auto* const elements = std::get_if<Elements>(&operation);
    if (elements == nullptr || elements->verb != ElementVerb::remove || elements->set.name != set)
      continue;
    for (const Element& element : elements->elements)
      devices.push_back(parse_device(element.key.bytes()));
  }
  return devices;
}

Transaction device_user_removed(Family family, const OwnerHash& owner) {
  return of_element(ElementVerb::remove, device_users_spec(family), device_user_key(owner));
}

Transaction loopback_removed(const PublishedPort& port) {
  return of_element(ElementVerb::remove, loopback_spec(port.address.family()), service_key(port));
}

Transaction device_users_added(Family family, std::span<const LocalnetUser> users) {
  Transaction transaction;
  for (const LocalnetUser& user : users)
    transaction.operations.emplace_back(
        Elements{ElementVerb::add,
                 device_users_spec(family),
                 encode(ElementData{.comment = user.comment}),
                 {{device_user_key(user.owner), {}, device_key(user.device)}}});
  return transaction;
}

Transaction loopback_addition(std::span<const ClaimEntry> claims) {
  std::map<std::string, BySet> by_comment;
  for (const ClaimEntry& claim : claims) {
    if (!is_reachable_by_loopback(claim.published)) continue;
    const auto added = by_comment.try_emplace(claim.comment, ElementVerb::add,
                                              encode(ElementData{.comment = claim.comment}));
    added.first->second[loopback_spec(claim.published.address.family())].push_back(
        {service_key(claim.published)});
  }
  Transaction transaction;
  for (auto& [comment, elements] : by_comment) elements.move_to(transaction);
  return transaction;
}

Transaction promotion(std::span<const InstalledPorts> successors, bool with_sets) {
  Transaction transaction;
  for (const InstalledPorts& successor : successors) {
    const std::string& comment = successor.standby_comment;
    BySet removed(ElementVerb::remove, {});
    BySet claims(ElementVerb::create, encode({.comment = comment, .owner = successor.owner}));
    BySet targets(ElementVerb::create, encode(ElementData{.comment = comment}));
    BySet loopback(ElementVerb::add, encode(ElementData{.comment = comment}));
    for (const InstalledPort& port : successor.ports) {
      if (!port.standby || !port.index) continue;
      const Suffix suffix = suffix_of(port.published);
      const Key key = claim_key(port.published);
      const SetSpec target = target_spec(successor.chain, suffix);
      removed[standby_spec()].push_back({owner_key(successor.owner, *port.index)});
      if (port.endpoint) removed[target].push_back({key});
      claims[claim_spec(suffix)].push_back({key});
      targets[target].push_back({key, {}, target_data(*port.standby)});
      if (!loopback_device(successor, suffix.family).empty() &&
          is_reachable_by_loopback(port.published))
        loopback[loopback_spec(suffix.family)].push_back({service_key(port.published)});
      if (!with_sets) continue;
      transaction.operations.emplace_back(AddSet{claim_spec(suffix)});
      transaction.operations.emplace_back(AddSet{target});
    }
    removed.move_to(transaction);
    claims.move_to(transaction);
    targets.move_to(transaction);
    loopback.move_to(transaction);
  }
  return transaction;
}

Transaction addition(std::span<const Hairpin> hairpins) {
  return of_hairpins(ElementVerb::add, hairpins);
}

Transaction removal(std::span<const Hairpin> hairpins) {
  return of_hairpins(ElementVerb::remove, hairpins);
}

Transaction hairpins_removal() {
  Transaction transaction;
  for (const Family family : kFamilies)
    transaction.operations.emplace_back(FlushSet{hairpin_set(family)});
  return transaction;
}

Transaction build_tables(const NetworkChain& network, std::span<const std::string> jumps,
                         std::span<const std::string> replaced) {
  return build_tables(std::span(&network, 1), jumps, replaced);
}

Transaction build_tables(std::span<const NetworkChain> networks, std::span<const std::string> jumps,
                         std::span<const std::string> replaced) {
  std::vector<SetSpec> sets;
  std::vector<ChainSpec> chains;
  for (const NetworkChain& network : networks) {
    for (SetSpec& set : network_sets(network.name)) sets.push_back(std::move(set));
    chains.push_back(network_chain(network));
  }
  return build(std::move(sets), std::move(chains), jumps, replaced);
}

Transaction build_tables(std::span<const std::string> jumps,
                         std::span<const std::string> replaced) {
  return build({}, {}, jumps, replaced);
}

Transaction delete_network(const std::string& chain, std::span<const std::string> jumps) {
  Transaction transaction;
  std::vector<Operation>& operations = transaction.operations;
  // A single jump can be deleted by its handle only, which would have to be read first.
  operations.emplace_back(FlushChain{kNetworks});
  for (Rule& rule : networks_chain(jumps).rules)
    operations.emplace_back(AddRule{kNetworks, std::move(rule)});
  operations.emplace_back(FlushChain{chain});
  operations.emplace_back(DeleteChain{chain});
  for (const SetSpec& set : network_sets(chain)) operations.emplace_back(DeleteSet{set.name});
  return transaction;
}

std::string to_string(const Operation& operation, const char* table) {
  return std::visit(Print{table}, operation);
}

std::string to_string(const Transaction& transaction) {
  std::string text;
  for (const Operation& operation : transaction.operations)
    text += to_string(operation, transaction.table);
  return text;
}

}  // namespace portmapper::nft
