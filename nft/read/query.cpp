#include "nft/read/query.hpp"

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <cerrno>
#include <optional>

#include "lib/base/attributes.hpp"
#include "nft/encode.hpp"

namespace portmapper::nft {

bool is_reply(const nlmsghdr& reply, unsigned type) {
  return reply.nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | type);
}

void Query::generation() {
  messages_.begin(NFT_MSG_GETGEN, 0);
  messages_.end();
}

void Query::elements(const std::string& set, std::span<const Element> elements) {
  asks_for_keys_ = true;
  while (!elements.empty())
    elements =
        elements.subspan(encode_elements(messages_, NFT_MSG_GETSETELEM, 0, set, elements, {}));
}

void Query::table() {
  table(messages_.table());
}

void Query::table(const char* name) {
  mnl_attr_put_strz(messages_.begin(NFT_MSG_GETTABLE, 0), NFTA_TABLE_NAME, name);
  messages_.end();
}

void Query::chain(const std::string& name) {
  messages_.write_named(NFT_MSG_GETCHAIN, 0, NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME, name);
}

void Query::set(const std::string& name) {
  messages_.write_named(NFT_MSG_GETSET, 0, NFTA_SET_TABLE, NFTA_SET_NAME, name);
}

void Query::all_elements(const std::string& set) {
  messages_.write_named(NFT_MSG_GETSETELEM, NLM_F_DUMP, NFTA_SET_ELEM_LIST_TABLE,
                        NFTA_SET_ELEM_LIST_SET, set);
}

void Query::all_rules(const std::string& chain) {
  messages_.write_named(NFT_MSG_GETRULE, NLM_F_DUMP, NFTA_RULE_TABLE, NFTA_RULE_CHAIN, chain);
}

void Query::all_sets() {
  mnl_attr_put_strz(messages_.begin(NFT_MSG_GETSET, NLM_F_DUMP), NFTA_SET_TABLE, messages_.table());
  messages_.end();
}

void Query::all_chains() {
  messages_.begin(NFT_MSG_GETCHAIN, NLM_F_DUMP);
  messages_.end();
}

void Query::everything(std::uint16_t type) {
  object_ = "the tables";
  messages_.begin_of(NFPROTO_UNSPEC, type, NLM_F_DUMP);
  messages_.end();
}

void Query::foreign_elements(std::uint8_t family, const std::string& table,
                             const std::string& set) {
  object_ = "set " + set + " of table " + table;
  nlmsghdr* header = messages_.begin_of(family, NFT_MSG_GETSETELEM, NLM_F_DUMP);
  mnl_attr_put_strz(header, NFTA_SET_ELEM_LIST_TABLE, table.c_str());
  mnl_attr_put_strz(header, NFTA_SET_ELEM_LIST_SET, set.c_str());
  messages_.end();
}

void Query::foreign_chain(std::uint8_t family, const std::string& table, const std::string& chain) {
  object_ = "chain " + chain + " of table " + table;
  nlmsghdr* header = messages_.begin_of(family, NFT_MSG_GETCHAIN, 0);
  mnl_attr_put_strz(header, NFTA_CHAIN_TABLE, table.c_str());
  mnl_attr_put_strz(header, NFTA_CHAIN_NAME, chain.c_str());
  messages_.end();
}

void Query::foreign_rules(std::uint8_t family, const std::string& table, const std::string& chain) {
  object_ = "chain " + chain + " of table " + table;
  nlmsghdr* header = messages_.begin_of(family, NFT_MSG_GETRULE, NLM_F_DUMP);
  mnl_attr_put_strz(header, NFTA_RULE_TABLE, table.c_str());
  mnl_attr_put_strz(header, NFTA_RULE_CHAIN, chain.c_str());
  messages_.end();
}

void Query::foreign_rules(std::uint8_t family, const std::string& table) {
  object_ = "table " + table;
  nlmsghdr* header = messages_.begin_of(family, NFT_MSG_GETRULE, NLM_F_DUMP);
  mnl_attr_put_strz(header, NFTA_RULE_TABLE, table.c_str());
  messages_.end();
}

Status Query::run(Transport& transport, const OnReply& on_reply) {
  return ask(
      [&](auto requests, const OnReply& hand_on) { return transport.exchange(requests, hand_on); },
      on_reply);
}

Status Query::peek(Transport& transport, const OnReply& on_reply, const IsEnough& is_enough) {
  return ask([&](auto requests,
                 const OnReply& hand_on) { return transport.peek(requests, hand_on, is_enough); },
             on_reply);
}

Status Query::ask(const Exchange& exchange, const OnReply& on_reply) {
  if (messages_.last_sequence() == 0) return {};  // the kernel takes no empty request
  int error_number = 0;
  bool answered = false;  // the last request, and so all
  const Status sent = exchange(messages_.bytes(), [&](const nlmsghdr& reply) {
    answered = answered || reply.nlmsg_seq == messages_.last_sequence();
    if ((reply.nlmsg_flags & NLM_F_DUMP_INTR) != 0) error_number = EINTR;
    const Acknowledgement ack = acknowledgement(reply);
    if (ack.present) {
      // EINVAL: a set of ours has another type, so it has no such element.
      const bool absent =
          ack.error_number == ENOENT || (asks_for_keys_ && ack.error_number == EINVAL);
      if (ack.error_number != 0 && !absent) error_number = ack.error_number;
      return;
    }
    if (is_reply(reply, NFT_MSG_NEWGEN)) {
      const auto id = Attributes(message_attributes(reply, sizeof(nfgenmsg))).find(NFTA_GEN_ID);
      if (id) generation_ = id->number32();
      return;
    }
    on_reply(reply);
  });
  // Without the privilege the kernel refuses the first request and answers no other.
  if (!sent && error_number == 0) return sent.error();
  if (error_number == 0 && answered) return {};
  std::string object = object_.empty() ? std::string("table inet ") + messages_.table() : object_;
  // No answer does not mean "nothing exists".
  if (error_number == 0) return no_answer(object);
  // What nfnetlink says of a subsystem that is not there, and cannot be loaded.
  if (error_number == EINVAL) object += " (it takes the kernel's nf_tables)";
  return mapping_failed("cannot read", std::move(object), error_number);
}

}  // namespace portmapper::nft
