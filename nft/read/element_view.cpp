#include "nft/read/element_view.hpp"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "nft/read/query.hpp"

namespace portmapper::nft {
namespace {

// The counter's packets, in NFTA_SET_ELEM_EXPR: a name, and its data.
std::uint64_t packets_of(const Attribute& expression) {
  const auto packets = Attributes(nested(expression, NFTA_EXPR_DATA)).find(NFTA_COUNTER_PACKETS);
  return packets ? packets->number64() : 0;
}

std::string_view chain_of(const Attribute& data) {
  const auto verdict = Attributes(data.payload).find(NFTA_DATA_VERDICT);
  if (!verdict) return {};
  const auto chain = Attributes(verdict->payload).find(NFTA_VERDICT_CHAIN);
  return chain ? chain->text() : std::string_view();
}

ElementView view_of(const Attribute& element) {
  ElementView view;
  for (const Attribute& attribute : Attributes(element.payload)) {
    if (attribute.type == NFTA_SET_ELEM_KEY) view.key = nested(attribute, NFTA_DATA_VALUE);
    if (attribute.type == NFTA_SET_ELEM_KEY_END) view.key_end = nested(attribute, NFTA_DATA_VALUE);
    if (attribute.type == NFTA_SET_ELEM_DATA) {
      view.data = nested(attribute, NFTA_DATA_VALUE);
      if (view.data.empty()) view.chain = chain_of(attribute);
    }
    if (attribute.type == NFTA_SET_ELEM_USERDATA) view.userdata = attribute.payload;
    if (attribute.type == NFTA_SET_ELEM_EXPR) view.packets = packets_of(attribute);
  }
  return view;
}

void visit_elements(const nlmsghdr& message, unsigned type,
                    const std::function<void(const ElementView&)>& visit) {
  if (!is_reply(message, type)) return;
  const auto list =
      Attributes(message_attributes(message, sizeof(nfgenmsg))).find(NFTA_SET_ELEM_LIST_ELEMENTS);
  if (!list) return;
  for (const Attribute& element : Attributes(list->payload)) visit(view_of(element));
}

}  // namespace

void for_each_element(const nlmsghdr& reply, const std::function<void(const ElementView&)>& visit) {
  visit_elements(reply, NFT_MSG_NEWSETELEM, visit);
}

void for_each_deleted_element(const nlmsghdr& event,
                              const std::function<void(const ElementView&)>& visit) {
  visit_elements(event, NFT_MSG_DELSETELEM, visit);
}

}  // namespace portmapper::nft
