#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <set>

#include "lib/base/attributes.hpp"
#include "nft/egress_state.hpp"
#include "nft/key.hpp"
#include "nft/read/element_view.hpp"
#include "nft/read/form_reader.hpp"
#include "nft/read/objects.hpp"
#include "nft/read/query.hpp"
#include "nft/userdata.hpp"

namespace portmapper::nft {
namespace {

Status dump_egress(Transport& transport, const SetSpec& set,
                   const std::function<void(const ElementView&)>& visit) {
  Query query(kEgressTable);
  query.all_elements(set.name);
  return query.run(transport, [&visit](const nlmsghdr& reply) { for_each_element(reply, visit); });
}

std::optional<EgressEntry> parse_egress_entry(const ElementView& element) {
  const auto key = parse_owner_key(element.key);
  const auto address = parse_egress_address(element.data);
  if (!key || !address) return std::nullopt;
  ElementData data = parse_element_data(element.userdata);
  return EgressEntry{.owner = key->owner,
                     .index = key->index,
                     .address = *address,
                     .comment = std::move(data.comment),
                     .chain = std::move(data.chain),
                     .netns = std::move(data.netns),
                     .network = data.network,
                     .container = data.container,
                     .restored = data.restored};
}

// The generation, and what there is of the table, its base chain and its sets, in one exchange.
Result<EgressState> read_egress_beginning(Transport& transport) {
  EgressState state;
  Query query(kEgressTable);
  query.generation();
  query.table();
  query.chain(kPostrouting);
  const std::vector<SetSpec> sets = egress_sets();
  for (const SetSpec& set : sets) query.set(set.name);
  constexpr std::size_t kFirstSet = 4;  // its sequence number
  RulesetView view;
  std::vector<bool> found(sets.size());
  const Status status = query.run(transport, [&](const nlmsghdr& reply) {
    if (is_table(reply, kEgressTable)) {
      state.exists = true;
      view.is_dormant = is_dormant(reply);
    }
    if (is_reply(reply, NFT_MSG_NEWCHAIN)) view.chains.push_back(parse_chain(reply).view);
    if (!is_reply(reply, NFT_MSG_NEWSET) || reply.nlmsg_seq - kFirstSet >= sets.size()) return;
    const SetSpec& set = sets[reply.nlmsg_seq - kFirstSet];
    found[reply.nlmsg_seq - kFirstSet] = true;
    if (!has_type(reply, set))
      state.damage.push_back({Damage::Kind::other_type, set.name, to_string(set)});
  });
  if (!status) return status.error();
  state.generation = query.found_generation();
  if (!state.exists) return state;
  for (std::size_t i = 0; i < sets.size(); ++i)
    if (!found[i]) state.damage.push_back({Damage::Kind::missing_set, sets[i].name});
  const ChainSpec base = {.name = kPostrouting, .hook = egress_base_chain().hook};
  for (Damage& damage : diff_chains(view, {base}).damage) {
    if (damage.kind == Damage::Kind::dormant_table) damage.object = kEgressTable;
    state.damage.push_back(std::move(damage));
  }
  return state;
}

// Whom the sources lead that no owner entry has.
void add_lost_owners(EgressState& state) {
  std::set<IpAddress> owned;
  for (const EgressEntry& entry : state.owners) owned.insert(entry.address);
  for (const auto& [address, target] : state.sources) {
    if (owned.contains(address)) continue;
    Attachment attachment;
    const bool is_known = parse_attachment_comment(target.comment, attachment);
    if (!is_known) attachment = {"", target.comment, address.to_string()};
    state.owners.push_back(
        {.owner = owner_hash(attachment),
         .address = address,
         .comment = target.comment.empty() ? address.to_string() : target.comment,
         .chain = target.chain,
         .record = is_known ? EgressEntry::Record::lost : EgressEntry::Record::nobodys});
  }
}

// One whose keys or data are another's says nothing of ours.
bool is_readable(const EgressState& state, const std::string& set) {
  return std::none_of(state.damage.begin(), state.damage.end(),
                      [&set](const Damage& damage) { return damage.object == set; });
}

}  // namespace

Result<EgressState> read_egress(Transport& transport) {
  Result<EgressState> state = read_egress_beginning(transport);
  if (!state || !state->exists) return state;
  Status status;
  if (is_readable(*state, kOwners))
    status = dump_egress(transport, egress_owners_spec(), [&state](const ElementView& element) {
      if (auto entry = parse_egress_entry(element)) state->owners.push_back(std::move(*entry));
    });
  if (!status) return status.error();
  for (const Family family : kFamilies) {
    if (!is_readable(*state, egress_sources_spec(family).name)) continue;
    status =
        dump_egress(transport, egress_sources_spec(family), [&state](const ElementView& element) {
          if (const auto address = parse_egress_address(element.key))
            state->sources[*address] = {std::string(element.chain),
                                        parse_element_data(element.userdata).comment};
        });
    if (!status) return status.error();
  }
  for (EgressEntry& entry : state->owners)
    if (const auto source = state->sources.find(entry.address);
        entry.chain.empty() && source != state->sources.end())
      entry.chain = source->second.chain;
  add_lost_owners(*state);
  return state;
}

Result<std::vector<RuleForm>> read_egress_rules(Transport& transport, const std::string& chain) {
  std::vector<std::vector<std::uint8_t>> all_expressions;  // a dump is one exchange
  Query query(kEgressTable);
  query.all_rules(chain);
  const Status status = query.run(transport, [&all_expressions](const nlmsghdr& reply) {
    if (!is_reply(reply, NFT_MSG_NEWRULE)) return;
    const auto expressions =
        Attributes(message_attributes(reply, sizeof(nfgenmsg))).find(NFTA_RULE_EXPRESSIONS);
    const Bytes bytes = expressions ? expressions->payload : Bytes();
    all_expressions.emplace_back(bytes.begin(), bytes.end());
  });
  if (!status) return status.error();
  std::vector<RuleForm> rules;
  for (const std::vector<std::uint8_t>& expressions : all_expressions)
    if (const Status read = read_form(transport, kEgressTable, expressions, rules.emplace_back());
        !read)
      return read.error();
  return rules;
}

}  // namespace portmapper::nft
