#include "nft/read/portmap_reader.hpp"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <utility>

#include "lib/base/attributes.hpp"
#include "nft/read/query.hpp"

namespace portmapper::nft {
namespace {

constexpr std::uint8_t kItsFamilies[] = {NFPROTO_IPV4, NFPROTO_IPV6};

struct FoundRule {
  std::uint64_t handle = 0;
  std::string_view jump;     // the chain that it jumps or goes to
  std::string_view comment;  // nft's
};

// Of the last expression that is a verdict; others have none.
std::string_view jump_of(Bytes expressions) {
  std::string_view chain;
  for (const Attribute& expression : Attributes(expressions)) {
    const auto data = Attributes(expression.payload).find(NFTA_EXPR_DATA);
    const auto value = data ? Attributes(data->payload).find(NFTA_IMMEDIATE_DATA) : std::nullopt;
    const auto verdict = value ? Attributes(value->payload).find(NFTA_DATA_VERDICT) : std::nullopt;
    const auto name =
        verdict ? Attributes(verdict->payload).find(NFTA_VERDICT_CHAIN) : std::nullopt;
    const auto kind = Attributes(expression.payload).find(NFTA_EXPR_NAME);
    if (name && kind && kind->text() == "immediate") chain = name->text();
  }
  return chain;
}

// Type, length, text; what is cut off at the end is not a comment.
std::string_view comment_in(Bytes userdata) {
  if (userdata.size() < 2 || userdata[0] != 0 || userdata[1] > userdata.size() - 2) return {};
  const std::string_view text(reinterpret_cast<const char*>(userdata.data()) + 2, userdata[1]);
  return text.substr(0, text.find('\0'));
}

FoundRule rule_in(const nlmsghdr& reply) {
  FoundRule rule;
  for (const Attribute& attribute : Attributes(message_attributes(reply, sizeof(nfgenmsg)))) {
    if (attribute.type == NFTA_RULE_HANDLE) rule.handle = attribute.number64();
    if (attribute.type == NFTA_RULE_EXPRESSIONS) rule.jump = jump_of(attribute.payload);
    if (attribute.type == NFTA_RULE_USERDATA) rule.comment = comment_in(attribute.payload);
  }
  return rule;
}

class Reader {
 public:
  Reader(Transport& transport, const Attachment& attachment)
      : transport_(transport),
        container_id_(attachment.container_id),
        chain_(portmap::container_chain(attachment.network, attachment.container_id)) {}

  Result<PortmapLeft> run() {
    if (const Status looked = find_chains(); !looked) return looked.error();
    for (const portmap::ChainAt& chain : found_) {
      const Status read = chain.table == portmap::kTable ? read_commented(chain) : read_own(chain);
      if (!read) return read.error();
    }
    return std::move(left_);
  }

 private:
  // Which rules of a chain are wanted.
  enum class Wanted : std::uint8_t { jumps, all, commented };

  Status find_chains() {
    Query query;
    query.generation();
    for (const std::uint8_t family : kItsFamilies) {
      query.foreign_chain(family, portmap::kNatTable, chain_);
      query.foreign_chain(family, portmap::kTable, portmap::kPorts);
    }
    const Status status = ask(query);
    left_.generation = query.found_generation();
    return status;
  }

  Status ask(Query& query) {
    return query.run(transport_, [this](const nlmsghdr& reply) {
      if (is_reply(reply, NFT_MSG_NEWCHAIN)) take_chain(reply.nlmsg_seq - 2);
      if (is_reply(reply, NFT_MSG_NEWRULE)) take_rule(rule_in(reply));
    });
  }

  // The first question is the generation, then come two for each family.
  void take_chain(std::uint32_t asked) {
    const bool is_own = asked % 2 == 0;
    found_.push_back({kItsFamilies[asked / 2 % 2], is_own ? portmap::kNatTable : portmap::kTable,
                      is_own ? chain_ : portmap::kPorts});
  }

  void take_rule(const FoundRule& rule) {
    if ((wanted_ == Wanted::jumps && rule.jump != chain_) ||
        (wanted_ == Wanted::commented && rule.comment != container_id_))
      return;
    left_.removal.rules.push_back({asked_.family, asked_.table, asked_.name, rule.handle});
  }

  Status read_rules(portmap::ChainAt chain, Wanted wanted) {
    asked_ = std::move(chain);
    wanted_ = wanted;
    Query query;
    query.foreign_rules(asked_.family, asked_.table, asked_.name);
    return ask(query);
  }

  // By iptables: the jumps to the container's chain, what is in it, and the chain.
  Status read_own(const portmap::ChainAt& chain) {
    const Status jumps =
        read_rules({chain.family, chain.table, portmap::kEntryChain}, Wanted::jumps);
    if (!jumps) return jumps;
    left_.removal.chains.push_back(chain);
    return read_rules(chain, Wanted::all);
  }

  Status read_commented(portmap::ChainAt chain) {
    for (const std::string& name :
         {std::string(portmap::kAddressPorts), std::string(portmap::kPorts),
          std::string(portmap::kMasquerading)}) {
      chain.name = name;
      if (const Status read = read_rules(chain, Wanted::commented); !read) return read;
    }
    return {};
  }

  Transport& transport_;
  const std::string& container_id_;
  std::string chain_;
  std::vector<portmap::ChainAt> found_{};
  portmap::ChainAt asked_{};
  Wanted wanted_ = Wanted::all;
  PortmapLeft left_{};
};

}  // namespace

Result<PortmapLeft> read_portmap_removal(Transport& transport, const Attachment& attachment) {
  return Reader(transport, attachment).run();
}

}  // namespace portmapper::nft
