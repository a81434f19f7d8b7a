#include "nft/trace/table.hpp"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>  // libnftnl/expr.h needs FILE
// clang-format off
#include <libnftnl/expr.h>
// clang-format on

#include "nft/key.hpp"
#include "nft/rule_builder.hpp"

namespace portmapper::nft::trace {
namespace {

constexpr char kRequest[] = "request";
constexpr char kAnswer[] = "answer";
constexpr char kLifetimeSet[] = "lifetime";
constexpr char kAskedSet[] = "asked";
constexpr std::string_view kSuffix = "-trace-";
constexpr std::string_view kFirst = "-first";
constexpr std::string_view kLast = "-last";
constexpr std::string_view kAnswers = "-answers";

// Behind the kernel's own hook at the lowest one, which takes a bridged packet out of a second run.
constexpr std::int32_t kLowest = INT_MIN + 1;
constexpr std::int32_t kHighest = INT_MAX;
constexpr std::int32_t kBehindConntrack = -199;

struct NamedHook {
  std::string_view name;
  std::uint32_t number;
};
constexpr std::array kHooks = {
    NamedHook{"prerouting", NF_INET_PRE_ROUTING}, NamedHook{"input", NF_INET_LOCAL_IN},
    NamedHook{"forward", NF_INET_FORWARD}, NamedHook{"output", NF_INET_LOCAL_OUT},
    NamedHook{"postrouting", NF_INET_POST_ROUTING}};
// Where packets begin their way on this host.
constexpr std::array kBeginnings = {kHooks[0], kHooks[3]};

std::string chain_name(const NamedHook& hook, std::string_view place) {
  return std::string(hook.name) + std::string(place);
}

class TableEncoder {
 public:
  TableEncoder(const std::string& table, const Wish& wish)
      : table_(table), wish_(wish), messages_(table.c_str()) {}

  Messages encode(bool owned) {
    messages_.batch_begin();
    add_table(owned);
    add_set(kLifetimeSet, FieldType::inet_proto, NFT_SET_TIMEOUT);
    add_set(kAskedSet, FieldType::inet_service, NFT_SET_TIMEOUT | NFT_SET_EVAL);
    add_lifetime();
    add_chain(kRequest);
    add_chain(kAnswer);
    for (const NamedHook& hook : kHooks) {
      add_chain(chain_name(hook, kFirst), hook.number, kLowest);
      add_chain(chain_name(hook, kLast), hook.number, kHighest);
    }
    choose_requests();
    if (wish_.answers) choose_answers();
    messages_.acknowledge_last();
    messages_.batch_end();
    return std::move(messages_);
  }

 private:
  // add table inet nft-port-mapper-trace-4711 { flags owner; }
  void add_table(bool owned) {
    nlmsghdr* header = messages_.begin(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
    mnl_attr_put_strz(header, NFTA_TABLE_NAME, table_.c_str());
    mnl_attr_put_u32(header, NFTA_TABLE_FLAGS, htonl(owned ? NFT_TABLE_F_OWNER : 0));
    messages_.end();
  }
  // add set inet TABLE lifetime { type inet_proto; flags timeout; timeout 2m; }
  void add_set(const char* name, FieldType type, std::uint32_t flags) {
    nlmsghdr* header = messages_.begin(NFT_MSG_NEWSET, NLM_F_CREATE);
    mnl_attr_put_strz(header, NFTA_SET_TABLE, table_.c_str());
    mnl_attr_put_strz(header, NFTA_SET_NAME, name);
    mnl_attr_put_u32(header, NFTA_SET_FLAGS, htonl(flags));
    mnl_attr_put_u32(header, NFTA_SET_KEY_TYPE, htonl(field(type).type_id));
    mnl_attr_put_u32(header, NFTA_SET_KEY_LEN, htonl(field(type).length));
    mnl_attr_put_u32(header, NFTA_SET_ID, htonl(++set_id_));
    mnl_attr_put_u64(header, NFTA_SET_TIMEOUT, lifetime());
    nlattr* description = mnl_attr_nest_start(header, NFTA_SET_DESC);
    mnl_attr_put_u32(header, NFTA_SET_DESC_SIZE, htonl(std::max(wish_.count, 1U) + 1));
    mnl_attr_nest_end(header, description);
    messages_.end();
  }
  static std::uint64_t lifetime() {
    const auto time = std::chrono::duration_cast<std::chrono::milliseconds>(kLifetime);
    return htobe64(static_cast<std::uint64_t>(time.count()));
  }
  // add element inet TABLE lifetime { tcp }, which ends with the set's timeout
  void add_lifetime() {
    const auto protocol = static_cast<std::uint8_t>(wish_.protocol);
    nlmsghdr* header = messages_.begin(NFT_MSG_NEWSETELEM, NLM_F_CREATE);
    mnl_attr_put_strz(header, NFTA_SET_ELEM_LIST_TABLE, table_.c_str());
    mnl_attr_put_strz(header, NFTA_SET_ELEM_LIST_SET, kLifetimeSet);
    nlattr* elements = mnl_attr_nest_start(header, NFTA_SET_ELEM_LIST_ELEMENTS);
    nlattr* element = mnl_attr_nest_start(header, NFTA_LIST_ELEM);
    nlattr* key = mnl_attr_nest_start(header, NFTA_SET_ELEM_KEY);
    mnl_attr_put(header, NFTA_DATA_VALUE, sizeof protocol, &protocol);
    mnl_attr_nest_end(header, key);
    mnl_attr_nest_end(header, element);
    mnl_attr_nest_end(header, elements);
    messages_.end();
  }
  void add_chain(const std::string& name) { add_chain(name, nullptr, 0, 0); }
  // add chain inet TABLE input-last { type filter hook input priority 2147483647; policy accept; }
  void add_chain(const std::string& name, std::uint32_t hook, std::int32_t priority) {
    add_chain(name, "filter", hook, priority);
  }
  void add_chain(const std::string& name, const char* type, std::uint32_t hook,
                 std::int32_t priority) {
    const Owned<nftnl_chain, nftnl_chain_free> chain(nftnl_chain_alloc());
    nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_TABLE, table_.c_str());
    nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_NAME, name.c_str());
    if (type != nullptr) {
      nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_TYPE, type);
      nftnl_chain_set_u32(chain.get(), NFTNL_CHAIN_HOOKNUM, hook);
      nftnl_chain_set_s32(chain.get(), NFTNL_CHAIN_PRIO, priority);
      nftnl_chain_set_u32(chain.get(), NFTNL_CHAIN_POLICY, NF_ACCEPT);
    }
    nftnl_chain_nlmsg_build_payload(messages_.begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE), chain.get());
    messages_.end();
  }

  void choose_requests() {
    for (const NamedHook& hook : kBeginnings) {
      const std::string chain = chain_name(hook, kFirst);
      const bool arrives = hook.number == NF_INET_PRE_ROUTING;
      // ... fib daddr type local goto request
      add_rule(chain, [&](RuleBuilder& rule) {
        match_request(rule, arrives);
        match_local(rule, NFTA_FIB_F_DADDR);
      });
      // ... fib daddr . iif type local goto request, for the addresses of a VRF
      if (arrives)
        add_rule(chain, [&](RuleBuilder& rule) {
          match_request(rule, arrives);
          match_local(rule, NFTA_FIB_F_DADDR | NFTA_FIB_F_IIF);
        });
      // ... ip daddr 192.0.2.9 goto request
      for (const IpAddress& address : wish_.addresses)
        add_rule(chain, [&](RuleBuilder& rule) {
          match_request(rule, arrives);
          match_address(rule, Side::destination, address);
        });
    }
    // limit rate 1/day burst 1 packets add @asked { th sport } meta nftrace set 1
    RuleBuilder rule(messages_, 0);
    limit(rule, wish_.count);
    rule.port(Side::source, slot(0));
    nftnl_expr* asked = rule.add("dynset");
    nftnl_expr_set_u32(asked, NFTNL_EXPR_DYNSET_SREG_KEY, slot(0));
    nftnl_expr_set_u32(asked, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_ADD);
    nftnl_expr_set_str(asked, NFTNL_EXPR_DYNSET_SET_NAME, kAskedSet);
    trace(rule);
    rule.finish(kRequest, {});
  }

  // The connection's own tuple: an answer's addresses may have been translated anyhow.
  void choose_answers() {
    for (const NamedHook& hook : kBeginnings) {
      const std::string chain = chain_name(hook, kAnswers);
      add_chain(chain, hook.number, kBehindConntrack);
      // iifname != "lo" ct direction reply ct protocol @lifetime ct original proto-dst 8080
      // ct original proto-src @asked goto answer
      RuleBuilder rule(messages_, 0);
      if (hook.number == NF_INET_PRE_ROUTING) not_from_loopback(rule);
      const std::uint8_t reply = IP_CT_DIR_REPLY;
      rule.connection(NFT_CT_DIRECTION, slot(0));
      rule.compare(NFT_CMP_EQ, {&reply, 1});
      rule.connection(NFT_CT_PROTOCOL, slot(0));
      rule.lookup(kLifetimeSet);
      load_original(rule, NFT_CT_PROTO_DST);
      rule.compare(NFT_CMP_EQ, network_number(wish_.port.value()));
      load_original(rule, NFT_CT_PROTO_SRC);
      rule.lookup(kAskedSet);
      rule.verdict(NFT_GOTO, kAnswer);
      rule.finish(chain, {});
    }
    // limit rate 1/day burst 8 packets meta nftrace set 1
    constexpr std::uint32_t kAnswersEach = 8;
    RuleBuilder rule(messages_, 0);
    limit(rule, wish_.count * kAnswersEach);
    trace(rule);
    rule.finish(kAnswer, {});
  }

  template <typename Match>
  void add_rule(const std::string& chain, const Match& match) {
    RuleBuilder rule(messages_, 0);
    match(rule);
    rule.verdict(NFT_GOTO, kRequest);
    rule.finish(chain, {});
  }

  // iifname != "lo" meta l4proto @lifetime th dport 8080 ip saddr 192.0.2.2
  void match_request(RuleBuilder& rule, bool arrives) {
    if (arrives) not_from_loopback(rule);
    rule.meta(NFT_META_L4PROTO, slot(0));
    rule.lookup(kLifetimeSet);
    rule.port(Side::destination, slot(0));
    rule.compare(NFT_CMP_EQ, network_number(wish_.port.value()));
    match_beginning(rule);
    if (wish_.from) match_address(rule, Side::source, *wish_.from);
  }
  // tcp flags & (fin|syn|rst|ack) == syn; sctp chunk init
  void match_beginning(RuleBuilder& rule) {
    constexpr std::uint32_t kTcpFlags = 13;
    constexpr std::uint32_t kFirstChunk = 12;
    constexpr std::uint8_t kMask = 0x17;
    constexpr std::uint8_t kSyn = 0x02;
    constexpr std::uint8_t kInit = 1;
    if (wish_.protocol == Protocol::tcp) {
      rule.payload(NFT_PAYLOAD_TRANSPORT_HEADER, kTcpFlags, 1, slot(0));
      rule.mask({&kMask, 1});
      rule.compare(NFT_CMP_EQ, {&kSyn, 1});
    }
    if (wish_.protocol == Protocol::sctp) {
      rule.payload(NFT_PAYLOAD_TRANSPORT_HEADER, kFirstChunk, 1, slot(0));
      rule.compare(NFT_CMP_EQ, {&kInit, 1});
    }
  }
  static void match_address(RuleBuilder& rule, Side side, const IpAddress& address) {
    rule.only_family(address.family());
    rule.address(address.family(), side, slot(0));
    rule.compare(NFT_CMP_EQ, {address.bytes().data(), address.length()});
  }
  static void match_local(RuleBuilder& rule, std::uint32_t flags) {
    nftnl_expr* fib = rule.add("fib");
    nftnl_expr_set_u32(fib, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
    nftnl_expr_set_u32(fib, NFTNL_EXPR_FIB_FLAGS, flags);
    nftnl_expr_set_u32(fib, NFTNL_EXPR_FIB_DREG, slot(0));
    rule.compare(NFT_CMP_EQ, host_number(RTN_LOCAL));
  }
  // What comes by lo was chosen where it was sent.
  static void not_from_loopback(RuleBuilder& rule) {
    const std::array<std::uint8_t, 16> name = {'l', 'o'};
    rule.meta(NFT_META_IIFNAME, slot(0));
    rule.compare(NFT_CMP_NEQ, name);
  }
  static void load_original(RuleBuilder& rule, std::uint32_t key) {
    nftnl_expr* connection = rule.add("ct");
    nftnl_expr_set_u32(connection, NFTNL_EXPR_CT_KEY, key);
    nftnl_expr_set_u8(connection, NFTNL_EXPR_CT_DIR, IP_CT_DIR_ORIGINAL);
    nftnl_expr_set_u32(connection, NFTNL_EXPR_CT_DREG, slot(0));
  }
  static void limit(RuleBuilder& rule, std::uint32_t packets) {
    constexpr std::uint64_t kDay = std::uint64_t{24} * 60 * 60;
    nftnl_expr* limit = rule.add("limit");
    nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_RATE, 1);
    nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_UNIT, kDay);
    nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_BURST, packets);
    nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
  }
  static void trace(RuleBuilder& rule) {
    const std::uint8_t yes = 1;
    nftnl_expr* value = rule.add("immediate");
    nftnl_expr_set_u32(value, NFTNL_EXPR_IMM_DREG, slot(0));
    nftnl_expr_set_data(value, NFTNL_EXPR_IMM_DATA, &yes, sizeof yes);
    nftnl_expr* set = rule.add("meta");
    nftnl_expr_set_u32(set, NFTNL_EXPR_META_KEY, NFT_META_NFTRACE);
    nftnl_expr_set_u32(set, NFTNL_EXPR_META_SREG, slot(0));
  }

  std::string table_;
  const Wish& wish_;
  Messages messages_;
  std::uint32_t set_id_ = 0;
};

// 0: taken.
Result<int> send(Transport& transport, const Messages& messages, const std::string& table) {
  std::optional<int> answer;
  const Status sent = transport.exchange(messages.bytes(), [&answer](const nlmsghdr& reply) {
    const Acknowledgement ack = acknowledgement(reply);
    if (ack.present && answer.value_or(0) == 0) answer = ack.error_number;
  });
  if (answer) return *answer;
  if (!sent) return sent.error();
  return no_answer("table inet " + table);
}

}  // namespace

std::string table_name(int process) {
  return std::string(kTable) + std::string(kSuffix) + std::to_string(process);
}

bool is_table_name(std::string_view name) {
  return name.starts_with(kTable) &&
         name.substr(std::string_view(kTable).size()).starts_with(kSuffix);
}

std::optional<Mark> mark_of(std::string_view chain) {
  if (chain == kRequest) return Mark{Mark::Kind::request};
  if (chain == kAnswer) return Mark{Mark::Kind::answer};
  for (const NamedHook& hook : kHooks) {
    if (!chain.starts_with(hook.name)) continue;
    const std::string_view place = chain.substr(hook.name.size());
    if (place == kFirst) return Mark{Mark::Kind::first, hook.number};
    if (place == kLast) return Mark{Mark::Kind::last, hook.number};
  }
  return std::nullopt;
}

Messages encode_table(const std::string& table, const Wish& wish, bool owned) {
  return TableEncoder(table, wish).encode(owned);
}

Status install(Transport& transport, const std::string& table, const Wish& wish) {
  Result<int> answer = send(transport, encode_table(table, wish, true), table);
  if (answer && (*answer == EOPNOTSUPP || *answer == EINVAL))
    answer = send(transport, encode_table(table, wish, false), table);
  if (!answer) return answer.error();
  if (*answer != 0) return mapping_failed("nftables refused", "table inet " + table, *answer);
  return {};
}

Status remove(Transport& transport, const std::string& table) {
  Messages messages;
  messages.batch_begin();
  mnl_attr_put_strz(messages.begin(NFT_MSG_DELTABLE, 0), NFTA_TABLE_NAME, table.c_str());
  messages.end();
  messages.acknowledge_last();
  messages.batch_end();
  const Result<int> answer = send(transport, messages, table);
  if (!answer) return answer.error();
  if (*answer != 0 && *answer != ENOENT)
    return mapping_failed("nftables refused to delete", "table inet " + table, *answer);
  return {};
}

}  // namespace portmapper::nft::trace
