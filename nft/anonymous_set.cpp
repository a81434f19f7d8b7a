#include "nft/anonymous_set.hpp"

#include <endian.h>
#include <libmnl/libmnl.h>
#include <libnftnl/set.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <span>
#include <string>

#include "nft/names.hpp"

namespace portmapper::nft {
namespace {

constexpr std::size_t kElementsAMessage = 800;  // 64 bytes each: an attribute holds 64 KiB

std::string userdata_of(std::uint8_t type, std::uint32_t number) {
  const Owned<nftnl_udata_buf, nftnl_udata_buf_free> buffer(
      nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN));
  nftnl_udata_put_u32(buffer.get(), type, number);
  return {static_cast<const char*>(nftnl_udata_buf_data(buffer.get())),
          nftnl_udata_buf_len(buffer.get())};
}

void encode_set(Messages& messages, const AnonymousSet& set, std::uint32_t set_id) {
  const Owned<nftnl_set, nftnl_set_free> object(nftnl_set_alloc());
  nftnl_set* s = object.get();
  // nft's BYTEORDER_HOST_ENDIAN and BYTEORDER_BIG_ENDIAN
  const std::string byte_order =
      userdata_of(NFTNL_UDATA_SET_KEYBYTEORDER, set.is_host_order ? 1 : 2);
  const std::uint32_t interval = set.is_interval ? NFT_SET_INTERVAL : 0;
  nftnl_set_set_str(s, NFTNL_SET_TABLE, messages.table());
  nftnl_set_set_str(s, NFTNL_SET_NAME, kAnonymousSet);
  nftnl_set_set_u32(s, NFTNL_SET_ID, set_id);
  nftnl_set_set_u32(s, NFTNL_SET_FLAGS, NFT_SET_ANONYMOUS | NFT_SET_CONSTANT | interval);
  nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, set.key_type);
  nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, set.key_length);
  nftnl_set_set_u32(s, NFTNL_SET_DESC_SIZE, static_cast<std::uint32_t>(set.elements.size()));
  nftnl_set_set_data(s, NFTNL_SET_USERDATA, byte_order.data(),
                     static_cast<std::uint32_t>(byte_order.size()));
  nftnl_set_nlmsg_build_payload(messages.begin(NFT_MSG_NEWSET, NLM_F_CREATE), s);
  messages.end();
}

void encode_element(nlmsghdr* header, const AnonymousSet& set,
                    const AnonymousSet::Element& element) {
  nlattr* nest = mnl_attr_nest_start(header, NFTA_LIST_ELEM);
  if (element.is_end)
    mnl_attr_put_u32(header, NFTA_SET_ELEM_FLAGS, htobe32(NFT_SET_ELEM_INTERVAL_END));
  nlattr* key = mnl_attr_nest_start(header, NFTA_SET_ELEM_KEY);
  mnl_attr_put(header, NFTA_DATA_VALUE, set.key_length, element.key.data());
  mnl_attr_nest_end(header, key);
  if (element.is_open) {
    const std::string open =
        userdata_of(NFTNL_UDATA_SET_ELEM_FLAGS, NFTNL_SET_ELEM_F_INTERVAL_OPEN);
    mnl_attr_put(header, NFTA_SET_ELEM_USERDATA, open.size(), open.data());
  }
  mnl_attr_nest_end(header, nest);
}

}  // namespace

void encode_anonymous_set(Messages& messages, const AnonymousSet& set, std::uint32_t set_id) {
  encode_set(messages, set, set_id);
  std::span<const AnonymousSet::Element> rest(set.elements);
  while (!rest.empty()) {
    const std::size_t count = std::min(rest.size(), kElementsAMessage);
    nlmsghdr* header =
        messages.begin(NFT_MSG_NEWSETELEM, NLM_F_CREATE, Messages::kDefaultCapacity + count * 64);
    mnl_attr_put_strz(header, NFTA_SET_ELEM_LIST_TABLE, messages.table());
    mnl_attr_put_strz(header, NFTA_SET_ELEM_LIST_SET, kAnonymousSet);
    mnl_attr_put_u32(header, NFTA_SET_ELEM_LIST_SET_ID, htobe32(set_id));
    nlattr* list = mnl_attr_nest_start(header, NFTA_SET_ELEM_LIST_ELEMENTS);
    for (const AnonymousSet::Element& element : rest.first(count))
      encode_element(header, set, element);
    mnl_attr_nest_end(header, list);
    messages.end();
    rest = rest.subspan(count);
  }
}

}  // namespace portmapper::nft
