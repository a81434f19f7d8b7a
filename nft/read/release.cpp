#include "nft/read/release.hpp"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "lib/base/attributes.hpp"
#include "nft/key.hpp"
#include "nft/names.hpp"
#include "nft/read/element_view.hpp"
#include "nft/read/query.hpp"

namespace portmapper::nft {
namespace {

// Whether the event is about an object of table inet nft-port-mapper with these names.
bool is_about(const nlmsghdr& event, std::uint16_t table_attribute, std::uint16_t name_attribute,
              std::string_view name) {
  if (family_of(event) != NFPROTO_INET) return false;
  const Attributes attributes(message_attributes(event, sizeof(nfgenmsg)));
  const auto table = attributes.find(table_attribute);
  const auto found = attributes.find(name_attribute);
  return table && table->text() == kTable && found && found->text() == name;
}

}  // namespace

Release::Release(const Plan& plan) {
  for (const Translation& translation : plan.translations)
    wanted_.insert(on_any(translation.published));
}

bool Release::in(const nlmsghdr& event) const {
  if (is_reply(event, NFT_MSG_DELTABLE))
    return is_about(event, NFTA_TABLE_NAME, NFTA_TABLE_NAME, kTable);
  if (is_reply(event, NFT_MSG_DELSET))
    return is_about(event, NFTA_SET_TABLE, NFTA_SET_NAME, kOwners);
  if (!is_about(event, NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_ELEM_LIST_SET, kOwners)) return false;
  bool freed = false;
  for_each_deleted_element(event, [&](const ElementView& element) {
    const auto port = parse_owner_data(element.data);
    freed = freed || !port || wanted_.contains(on_any(*port));
  });
  return freed;
}

}  // namespace portmapper::nft
