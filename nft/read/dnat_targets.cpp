#include "nft/read/dnat_targets.hpp"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>

#include <cstring>
#include <map>
#include <optional>
#include <vector>

#include "lib/base/attributes.hpp"
#include "lib/base/legacy_tables.hpp"
#include "nft/names.hpp"
#include "nft/portmap.hpp"
#include "nft/read/query.hpp"

namespace portmapper::nft {
namespace {

std::uint32_t number(const Attributes& data, std::uint16_t type) {
  const auto found = data.find(type);
  return found ? found->number32() : 0;
}

template <typename T>
std::optional<T> begin_of(Bytes info) {
  if (info.size() < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, info.data(), sizeof value);
  return value;
}

// One rule's expressions, as far as they say where it leads.
class RuleTargets {
 public:
  RuleTargets(Family family, DnatTargets& targets) : family_(family), targets_(targets) {}

  void read(Bytes expressions) {
    for (const Attribute& expression : Attributes(expressions)) {
      const Attributes parts(expression.payload);
      const auto name = parts.find(NFTA_EXPR_NAME);
      const auto found = parts.find(NFTA_EXPR_DATA);
      if (!name || !found) continue;
      const Attributes data(found->payload);
      if (name->text() == "immediate") immediate(data);
      if (name->text() == "nat" && number(data, NFTA_NAT_TYPE) == NFT_NAT_DNAT) nat(data);
      if (name->text() == "target") target(data);
      if (name->text() == "redir") targets_.are_all = false;
    }
  }

 private:
  void immediate(const Attributes& data) {
    const auto outer = data.find(NFTA_IMMEDIATE_DATA);
    const auto value = outer ? Attributes(outer->payload).find(NFTA_DATA_VALUE) : std::nullopt;
    if (value) loaded_[number(data, NFTA_IMMEDIATE_DREG)] = value->payload;
  }
  void nat(const Attributes& data) {
    const auto reg = data.find(NFTA_NAT_REG_ADDR_MIN);
    if (!reg) return;  // of the port alone
    const auto value = loaded_.find(reg->number32());
    const auto last = data.find(NFTA_NAT_REG_ADDR_MAX);
    if (value == loaded_.end() || (last && last->number32() != reg->number32()))
      targets_.are_all = false;
    else if (value->second.size() == address_length(family_))
      add(value->second.data());
  }
  void target(const Attributes& data) {
    const auto name = data.find(NFTA_TARGET_NAME);
    const auto info = data.find(NFTA_TARGET_INFO);
    if (!name || !info) return;
    if (name->text() == "REDIRECT" || name->text() == "NETMAP") targets_.are_all = false;
    if (name->text() != "DNAT") return;
    if (number(data, NFTA_TARGET_REV) == 0) return oldest(info->payload);
    const auto range = begin_of<nf_nat_range>(info->payload);
    if (!range || (range->flags & NF_NAT_RANGE_MAP_IPS) == 0) return;
    const std::size_t length = address_length(family_);
    if (std::memcmp(&range->min_addr, &range->max_addr, length) != 0) targets_.are_all = false;
    add(&range->min_addr);
  }
  void oldest(Bytes info) {
    const auto found = begin_of<nf_nat_ipv4_multi_range_compat>(info);
    if (!found || family_ != Family::ipv4) return;
    const nf_nat_ipv4_range& range = found->range[0];
    if ((range.flags & NF_NAT_RANGE_MAP_IPS) == 0) return;
    if (range.min_ip != range.max_ip) targets_.are_all = false;
    add(&range.min_ip);
  }
  void add(const void* bytes) { targets_.addresses.insert(IpAddress::from_bytes(family_, bytes)); }

  Family family_;
  DnatTargets& targets_;
  std::map<std::uint32_t, Bytes> loaded_{};  // by register
};

// What is wanted of a dump of rules, by table and chain.
template <typename IsWanted>
void read_rule(const nlmsghdr& reply, Family family, const IsWanted& is_wanted,
               DnatTargets& targets) {
  if (!is_reply(reply, NFT_MSG_NEWRULE)) return;
  const Attributes attributes(message_attributes(reply, sizeof(nfgenmsg)));
  const auto table = attributes.find(NFTA_RULE_TABLE);
  const auto chain = attributes.find(NFTA_RULE_CHAIN);
  const auto expressions = attributes.find(NFTA_RULE_EXPRESSIONS);
  if (table && chain && expressions && is_wanted(table->text(), chain->text()))
    RuleTargets(family, targets).read(expressions->payload);
}

}  // namespace

Result<DnatTargets> read_dnat_targets(Transport& transport, Family family) {
  DnatTargets targets;
  const Result<bool> legacy = has_legacy_nat(family);
  targets.are_all = legacy && !*legacy;
  Query query;
  query.everything(NFT_MSG_GETRULE);
  const Status status = query.run(transport, [&](const nlmsghdr& reply) {
    const std::uint8_t of = family_of(reply);
    if (of != NFPROTO_INET && of != protocol_family(family)) return;
    const auto is_others = [of](std::string_view table, std::string_view) {
      return of != NFPROTO_INET || table != kTable;
    };
    read_rule(reply, family, is_others, targets);
  });
  if (!status) return status.error();
  return targets;
}

Result<DnatTargets> read_portmap_targets(Transport& transport, Family family) {
  const std::uint8_t number = protocol_family(family);
  Query query;
  query.foreign_chain(number, portmap::kNatTable, portmap::kEntryChain);
  query.foreign_chain(number, portmap::kTable, portmap::kPorts);
  std::vector<std::string> tables;
  const Status looked = query.run(transport, [&tables](const nlmsghdr& reply) {
    if (is_reply(reply, NFT_MSG_NEWCHAIN))
      tables.emplace_back(reply.nlmsg_seq == 1 ? portmap::kNatTable : portmap::kTable);
  });
  if (!looked) return looked.error();
  DnatTargets targets;
  for (const std::string& name : tables) {
    const auto is_its = [&name](std::string_view, std::string_view chain) {
      return name == portmap::kTable || portmap::is_container_chain(chain);
    };
    Query rules;
    rules.foreign_rules(number, name);
    const Status read = rules.run(
        transport, [&](const nlmsghdr& reply) { read_rule(reply, family, is_its, targets); });
    if (!read) return read.error();
  }
  return targets;
}

}  // namespace portmapper::nft
