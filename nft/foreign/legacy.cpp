#include "nft/foreign/legacy.hpp"

#include <linux/netfilter.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>

#include "lib/base/bytes.hpp"
#include "nft/foreign/xt.hpp"

namespace portmapper::nft::foreign {
namespace {

constexpr std::array<const char*, 5> kBaseChains = {"PREROUTING", "INPUT", "FORWARD", "OUTPUT",
                                                    "POSTROUTING"};

template <typename T>
std::optional<T> struct_at(Bytes bytes, std::size_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return std::nullopt;
  T value{};
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

// What of an address or a name a rule compares, in both families.
struct Selector {
  Bytes value{};
  Bytes mask{};
  bool inverted = false;
};

struct EntryHead {
  Selector source{};
  Selector destination{};
  Selector iniface{};
  Selector outiface{};
  std::uint16_t protocol = 0;  // 0: any
  bool protocol_inverted = false;
  bool has_more = false;  // fragments, TOS: not understood
  bool is_goto = false;
  std::size_t target = 0;  // offsets within the entry
  std::size_t matches = 0;
  std::size_t length = 0;
};

template <typename T>
Bytes bytes_of(const T& value) {
  return {reinterpret_cast<const std::uint8_t*>(&value), sizeof value};
}

// The parts that struct ipt_ip and struct ip6t_ip6 name alike; `ip` is in the table's own memory.
template <typename Ip>
void read_selectors(const Ip& ip, EntryHead& head) {
  static_assert(IPT_INV_VIA_IN == IP6T_INV_VIA_IN && IPT_INV_DSTIP == IP6T_INV_DSTIP);
  static_assert(IPT_INV_PROTO == static_cast<int>(XT_INV_PROTO) && XT_INV_PROTO == 0x40);
  head.source = {bytes_of(ip.src), bytes_of(ip.smsk), (ip.invflags & IPT_INV_SRCIP) != 0};
  head.destination = {bytes_of(ip.dst), bytes_of(ip.dmsk), (ip.invflags & IPT_INV_DSTIP) != 0};
  head.iniface = {bytes_of(ip.iniface), bytes_of(ip.iniface_mask),
                  (ip.invflags & IPT_INV_VIA_IN) != 0};
  head.outiface = {bytes_of(ip.outiface), bytes_of(ip.outiface_mask),
                   (ip.invflags & IPT_INV_VIA_OUT) != 0};
  head.protocol = ip.proto;
  head.protocol_inverted = (ip.invflags & IPT_INV_PROTO) != 0;
}

EntryHead head_of(const ipt_entry& entry) {
  EntryHead head{.is_goto = (entry.ip.flags & IPT_F_GOTO) != 0,
                 .target = entry.target_offset,
                 .matches = sizeof entry,
                 .length = entry.next_offset};
  read_selectors(entry.ip, head);
  head.has_more = (entry.ip.flags & IPT_F_FRAG) != 0;
  return head;
}

EntryHead head_of(const ip6t_entry& entry) {
  EntryHead head{.is_goto = (entry.ipv6.flags & IP6T_F_GOTO) != 0,
                 .target = entry.target_offset,
                 .matches = sizeof entry,
                 .length = entry.next_offset};
  read_selectors(entry.ipv6, head);
  head.has_more = (entry.ipv6.flags & IP6T_F_TOS) != 0;
  return head;
}

Condition opaque_condition(std::string text) {
  return {.key = {{PacketField::opaque, std::move(text), 4}}};
}

void add_address(PacketField field, const char* text, const Selector& part,
                 std::vector<Condition>& conditions) {
  const bool is_any =
      std::all_of(part.mask.begin(), part.mask.end(), [](std::uint8_t b) { return b == 0; });
  if (is_any && !part.inverted) return;
  const bool is_one =
      std::all_of(part.mask.begin(), part.mask.end(), [](std::uint8_t b) { return b == 0xff; });
  Blob value = blob_of(part.value);
  for (std::size_t i = 0; i < value.size(); ++i)
    value[i] = static_cast<std::uint8_t>(value[i] & part.mask[i]);
  conditions.push_back({.key = {{field, text, value.size(), is_one ? Blob{} : blob_of(part.mask)}},
                        .values = {{value, value}},
                        .inverted = part.inverted});
}

// A mask over the NUL means the whole name; one before it, those that begin so.
void add_device(PacketField field, const char* text, const Selector& part,
                std::vector<Condition>& conditions) {
  const auto used = static_cast<std::size_t>(std::find(part.mask.begin(), part.mask.end(), 0) -
                                             part.mask.begin());
  if (used == 0) return;
  Blob name(part.value.begin(), part.value.begin() + static_cast<std::ptrdiff_t>(used));
  const std::size_t operand_length = part.value.size();
  if (std::find(name.begin(), name.end(), 0) != name.end()) name.resize(operand_length);
  const std::size_t length = name.size();
  conditions.push_back(
      {.key = {{field, text, length}}, .values = {{name, name}}, .inverted = part.inverted});
}

void add_head(const EntryHead& head, Family family, std::vector<Condition>& conditions) {
  const bool is_ipv4 = family == Family::ipv4;
  add_address(is_ipv4 ? PacketField::ip_saddr : PacketField::ip6_saddr,
              is_ipv4 ? "ip saddr" : "ip6 saddr", head.source, conditions);
  add_address(is_ipv4 ? PacketField::ip_daddr : PacketField::ip6_daddr,
              is_ipv4 ? "ip daddr" : "ip6 daddr", head.destination, conditions);
  add_device(PacketField::iifname, "iifname", head.iniface, conditions);
  add_device(PacketField::oifname, "oifname", head.outiface, conditions);
  if (head.protocol != 0) {
    const Blob value = {static_cast<std::uint8_t>(head.protocol)};
    conditions.push_back({.key = {{PacketField::l4proto, "meta l4proto", 1}},
                          .values = {{value, value}},
                          .inverted = head.protocol_inverted});
  }
  if (head.has_more) conditions.push_back(opaque_condition("-f"));
}

// struct xt_entry_match and struct xt_entry_target begin alike.
struct Extension {
  std::uint16_t size;
  char name[XT_EXTENSION_MAXNAMELEN];
  std::uint8_t revision;
};
constexpr std::size_t kExtensionHead = sizeof(xt_entry_match);
static_assert(sizeof(Extension) == kExtensionHead && sizeof(xt_entry_target) == kExtensionHead);

std::string_view name_of(const Extension& extension) {
  return {extension.name, strnlen(extension.name, sizeof extension.name)};
}

class TableParser {
 public:
  TableParser(const LegacyTable& table, std::vector<Chain>& chains)
      : table_(table),
        bytes_(table.entries),
        id_{table.family == Family::ipv4 ? std::uint8_t{NFPROTO_IPV4} : std::uint8_t{NFPROTO_IPV6},
            table.name, true},
        chains_(chains) {}

  // First the names of the chains, since rules jump to where they begin.
  bool run() {
    return each_entry(
               [this](std::size_t at, const EntryHead& head) { return find_chain(at, head); }) &&
           each_entry(
               [this](std::size_t at, const EntryHead& head) { return add_entry(at, head); });
  }

 private:
  [[nodiscard]] std::optional<EntryHead> head_at(std::size_t at) const {
    const auto* const begin = bytes_.data() + at;
    const std::size_t left = bytes_.size() - at;
    const bool is_ipv4 = table_.family == Family::ipv4;
    if (left < (is_ipv4 ? sizeof(ipt_entry) : sizeof(ip6t_entry)) || at % alignof(ipt_entry) != 0)
      return std::nullopt;
    const EntryHead head = is_ipv4 ? head_of(*reinterpret_cast<const ipt_entry*>(begin))
                                   : head_of(*reinterpret_cast<const ip6t_entry*>(begin));
    if (head.length > left || head.target < head.matches ||
        head.target + kExtensionHead > head.length)
      return std::nullopt;
    return head;
  }

  template <typename Use>
  bool each_entry(Use use) {
    for (std::size_t at = 0; at < bytes_.size();) {
      const auto head = head_at(at);
      if (!head || !use(at, *head)) return false;
      at += head->length;
    }
    return true;
  }

  [[nodiscard]] std::optional<Extension> target_at(std::size_t at, const EntryHead& head) const {
    const auto target = struct_at<Extension>(bytes_, at + head.target);
    if (!target || target->size < kExtensionHead || head.target + target->size > head.length)
      return std::nullopt;
    return target;
  }
  [[nodiscard]] std::optional<std::size_t> hook_that_begins_at(std::size_t at) const {
    for (std::size_t hook = 0; hook < kBaseChains.size(); ++hook)
      if ((table_.valid_hooks >> hook & 1U) != 0 && table_.hook_entry[hook] == at) return hook;
    return std::nullopt;
  }
  [[nodiscard]] bool is_policy(std::size_t at) const {
    for (std::size_t hook = 0; hook < kBaseChains.size(); ++hook)
      if ((table_.valid_hooks >> hook & 1U) != 0 && table_.underflow[hook] == at) return true;
    return false;
  }

  bool find_chain(std::size_t at, const EntryHead& head) {
    const auto target = target_at(at, head);
    if (!target) return false;
    if (const auto hook = hook_that_begins_at(at)) names_[at] = kBaseChains[*hook];
    if (name_of(*target) == XT_ERROR_TARGET && at + head.length < bytes_.size()) {
      const auto* name =
          reinterpret_cast<const char*>(bytes_.data() + at + head.target + kExtensionHead);
      names_[at + head.length] = {name, strnlen(name, target->size - kExtensionHead)};
    }
    return true;
  }

  bool add_entry(std::size_t at, const EntryHead& head) {
    const auto target = target_at(at, head);
    if (name_of(*target) == XT_ERROR_TARGET) return true;  // of the next chain, or the end
    if (const auto name = names_.find(at); name != names_.end()) begin_chain(at, name->second);
    if (chains_.empty() || (is_policy(at) && !chains_.back().hook)) return false;
    Rule rule{.handle = chains_.back().rules.size() + 1};
    add_head(head, table_.family, rule.conditions);
    if (!add_matches(at, head, rule) || !add_target(at, head, *target, rule)) return false;
    if (is_policy(at))
      chains_.back().hook->policy_drop = rule.verdict.kind == Verdict::Kind::drop;
    else
      chains_.back().rules.push_back(std::move(rule));
    return true;
  }

  void begin_chain(std::size_t at, const std::string& name) {
    Chain chain{.table = id_, .name = name};
    if (const auto hook = hook_that_begins_at(at)) {
      const auto number = static_cast<std::uint32_t>(*hook);
      chain.hook = Hook{.type = table_.name == "nat" ? "nat" : "filter",
                        .number = number,
                        .priority = priority_at(number)};
    }
    chains_.push_back(std::move(chain));
  }
  [[nodiscard]] std::int32_t priority_at(std::uint32_t hook) const {
    if (table_.name == "raw") return -300;
    if (table_.name == "mangle") return -150;
    if (table_.name == "security") return 50;
    if (table_.name != "nat") return 0;
    return hook == NF_INET_PRE_ROUTING || hook == NF_INET_LOCAL_OUT ? -100 : 100;
  }

  bool add_matches(std::size_t at, const EntryHead& head, Rule& rule) const {
    for (std::size_t offset = head.matches; offset < head.target;) {
      const auto match = struct_at<Extension>(bytes_, at + offset);
      if (!match || match->size < kExtensionHead || match->size > head.target - offset)
        return false;
      const Bytes info = bytes_.subspan(at + offset + kExtensionHead, match->size - kExtensionHead);
      const auto conditions = xt_match(name_of(*match), match->revision, info);
      if (name_of(*match) == "comment") rule.comment = Attribute{0, info}.text();
      if (conditions)
        rule.conditions.insert(rule.conditions.end(), conditions->begin(), conditions->end());
      else
        rule.conditions.push_back(opaque_condition("-m " + std::string(name_of(*match))));
      offset += match->size;
    }
    return true;
  }

  bool add_target(std::size_t at, const EntryHead& head, const Extension& target,
                  Rule& rule) const {
    const std::size_t begin = at + head.target + kExtensionHead;
    const Bytes info = bytes_.subspan(begin, target.size - kExtensionHead);
    if (!name_of(target).empty()) {
      xt_target(name_of(target), target.revision, info, table_.family, rule);
      return true;
    }
    const auto verdict = struct_at<std::int32_t>(bytes_, begin);
    return verdict && set_verdict(at + head.length, *verdict, head.is_goto, rule.verdict);
  }

  // Below 0 it is a verdict, otherwise where to go on.
  bool set_verdict(std::size_t next, std::int32_t number, bool is_goto, Verdict& verdict) const {
    if (number == XT_RETURN) {
      verdict.kind = Verdict::Kind::leave;
    } else if (number < 0) {
      verdict.kind = number == -NF_ACCEPT - 1 ? Verdict::Kind::accept
                     : number == -NF_DROP - 1 ? Verdict::Kind::drop
                                              : Verdict::Kind::queue;
    } else if (static_cast<std::size_t>(number) != next || is_goto) {
      const auto chain = names_.find(static_cast<std::size_t>(number));
      if (chain == names_.end()) return false;
      verdict = {is_goto ? Verdict::Kind::go : Verdict::Kind::jump, chain->second};
    }
    return true;
  }

  const LegacyTable& table_;
  Bytes bytes_;
  TableId id_;
  std::vector<Chain>& chains_;
  std::map<std::size_t, std::string> names_{};  // of the chain that begins there
};

}  // namespace

bool parse_legacy(const LegacyTable& table, std::vector<Chain>& chains) {
  return TableParser(table, chains).run();
}

}  // namespace portmapper::nft::foreign
