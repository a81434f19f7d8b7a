#include "nft/encode.hpp"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>

#include "nft/userdata.hpp"

namespace portmapper::nft {
namespace {

constexpr std::size_t kElementBytes = 60000;

std::uint32_t concatenated_length(std::span<const FieldType> types) {
  std::size_t length = 0;
  for (const FieldType type : types) length += padded(field(type).length);
  return static_cast<std::uint32_t>(length);
}

void put_value(nlmsghdr* header, std::uint16_t attribute, const Key& key) {
  nlattr* nest = mnl_attr_nest_start(header, attribute);
  mnl_attr_put(header, NFTA_DATA_VALUE, key.bytes().size(), key.bytes().data());
  mnl_attr_nest_end(header, nest);
}

void put_goto(nlmsghdr* header, const std::string& chain) {
  nlattr* data = mnl_attr_nest_start(header, NFTA_SET_ELEM_DATA);
  nlattr* verdict = mnl_attr_nest_start(header, NFTA_DATA_VERDICT);
  mnl_attr_put_u32(header, NFTA_VERDICT_CODE, htonl(static_cast<std::uint32_t>(NFT_GOTO)));
  mnl_attr_put_strz(header, NFTA_VERDICT_CHAIN, chain.c_str());
  mnl_attr_nest_end(header, verdict);
  mnl_attr_nest_end(header, data);
}

// nft wants to know in which byte order to print keys and data; 0 leaves it to each field's type.
std::string byte_order_userdata(const SetSpec& set) {
  const Owned<nftnl_udata_buf, nftnl_udata_buf_free> buffer(
      nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN));
  const auto order = [](std::span<const FieldType> types) -> std::uint32_t {
    if (types.size() != 1) return 0;
    return types.front() == FieldType::ifname ? 1 : 2;  // the host's, and the network's
  };
  nftnl_udata_put_u32(buffer.get(), NFTNL_UDATA_SET_KEYBYTEORDER, order(set.key));
  if (!set.data.empty())
    nftnl_udata_put_u32(buffer.get(), NFTNL_UDATA_SET_DATABYTEORDER, order(set.data));
  return {static_cast<const char*>(nftnl_udata_buf_data(buffer.get())),
          nftnl_udata_buf_len(buffer.get())};
}

class Encoder {
 public:
  Batch encode(const Transaction& transaction) {
    batch_.messages = Messages(transaction.table);
    transaction.generation ? messages().batch_begin(*transaction.generation)
                           : messages().batch_begin();
    batch_.operations = {0};
    for (std::size_t i = 0; i < transaction.operations.size(); ++i) {
      std::visit(*this, transaction.operations[i]);
      batch_.operations.resize(messages().last_sequence(), i);
    }
    messages().acknowledge_last();
    messages().batch_end();
    return std::move(batch_);
  }

  // add table inet nft-port-mapper { comment "published container ports"; }
  void operator()(const AddTable&) {
    const Owned<nftnl_table, nftnl_table_free> table(nftnl_table_alloc());
    const std::string comment = encode_comment(table_comment(messages().table()));
    nftnl_table_set_str(table.get(), NFTNL_TABLE_NAME, messages().table());
    nftnl_table_set_u32(table.get(), NFTNL_TABLE_FLAGS, 0);  // wakes a dormant one
    nftnl_table_set_data(table.get(), NFTNL_TABLE_USERDATA, comment.data(),
                         static_cast<std::uint32_t>(comment.size()));
    nftnl_table_nlmsg_build_payload(messages().begin(NFT_MSG_NEWTABLE, NLM_F_CREATE), table.get());
    messages().end();
  }

  // create table inet nft-port-mapper
  void operator()(const CreateTable&) {
    const std::uint16_t flags = NLM_F_CREATE | NLM_F_EXCL;
    nlmsghdr* header = messages().begin(NFT_MSG_NEWTABLE, flags);
    mnl_attr_put_strz(header, NFTA_TABLE_NAME, messages().table());
    messages().end();
  }

  void operator()(const DeleteTable&) {
    nlmsghdr* header = messages().begin(NFT_MSG_DELTABLE, 0);
    mnl_attr_put_strz(header, NFTA_TABLE_NAME, messages().table());
    messages().end();
  }

  void operator()(const AddSet& add) { encode_set(messages(), add.set, ++last_set_id_); }

  void operator()(const AddChain& add) {
    const Owned<nftnl_chain, nftnl_chain_free> chain(nftnl_chain_alloc());
    nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_TABLE, messages().table());
    nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_NAME, add.name.c_str());
    if (add.hook) {
      nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_TYPE, add.hook->type);
      nftnl_chain_set_u32(chain.get(), NFTNL_CHAIN_HOOKNUM, add.hook->number);
      nftnl_chain_set_s32(chain.get(), NFTNL_CHAIN_PRIO, add.hook->priority);
      nftnl_chain_set_u32(chain.get(), NFTNL_CHAIN_POLICY, NF_ACCEPT);
    }
    if (add.owner) {
      const std::string owner = nft::encode(*add.owner);
      nftnl_chain_set_data(chain.get(), NFTNL_CHAIN_USERDATA, owner.data(),
                           static_cast<std::uint32_t>(owner.size()));
    }
    nftnl_chain_nlmsg_build_payload(messages().begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE), chain.get());
    messages().end();
  }

  void operator()(const DeleteChain& chain) {
    messages().write_named(NFT_MSG_DELCHAIN, 0, NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME, chain.name);
  }

  // A rule without a handle stands for all rules of the chain.
  void operator()(const FlushChain& chain) {
    messages().write_named(NFT_MSG_DELRULE, 0, NFTA_RULE_TABLE, NFTA_RULE_CHAIN, chain.name);
  }

  void operator()(const DeleteSet& set) {
    messages().write_named(NFT_MSG_DELSET, 0, NFTA_SET_TABLE, NFTA_SET_NAME, set.name);
  }

  // A list of elements without elements stands for all of them.
  void operator()(const FlushSet& set) {
    messages().write_named(NFT_MSG_DELSETELEM, 0, NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_ELEM_LIST_SET,
                           set.name);
  }

  void operator()(const AddRule& add) {
    last_set_id_ = encode_rule(messages(), add.chain, add.rule, last_set_id_ + 1, add.place) - 1;
  }

  void operator()(const Elements& elements) {
    switch (elements.verb) {
      case ElementVerb::create:
        return put(NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, elements);
      case ElementVerb::add:
        return put(NFT_MSG_NEWSETELEM, NLM_F_CREATE, elements);
      case ElementVerb::remove:
        return put(NFT_MSG_DELSETELEM, 0, elements);
    }
  }

 private:
  Messages& messages() { return batch_.messages; }

  void put(std::uint16_t type, std::uint16_t flags, const Elements& elements) {
    std::span<const Element> rest(elements.elements);
    while (!rest.empty())
      rest = rest.subspan(encode_elements(messages(), type, flags, elements.set.name, rest,
                                          elements.userdata, elements.chain));
  }

  Batch batch_;
  std::uint32_t last_set_id_ = 0;
};

}  // namespace

void encode_set(Messages& messages, const SetSpec& set, std::uint32_t set_id) {
  const Owned<nftnl_set, nftnl_set_free> object(nftnl_set_alloc());
  nftnl_set* s = object.get();
  const std::string userdata = byte_order_userdata(set);
  std::uint32_t flags = set.is_map() ? NFT_SET_MAP : 0;
  nftnl_set_set_str(s, NFTNL_SET_TABLE, messages.table());
  nftnl_set_set_str(s, NFTNL_SET_NAME, set.name.c_str());
  nftnl_set_set_u32(s, NFTNL_SET_ID, set_id);
  nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, concatenated_type(set.key));
  nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, concatenated_length(set.key));
  if (!set.data.empty()) {
    nftnl_set_set_u32(s, NFTNL_SET_DATA_TYPE, concatenated_type(set.data));
    nftnl_set_set_u32(s, NFTNL_SET_DATA_LEN, concatenated_length(set.data));
  }
  if (set.verdicts) nftnl_set_set_u32(s, NFTNL_SET_DATA_TYPE, NFT_DATA_VERDICT);
  if (set.interval) {  // a concatenation of ranges: the kernel needs each field's length
    flags |= NFT_SET_INTERVAL | NFT_SET_CONCAT;
    std::vector<std::uint8_t> lengths;
    for (const FieldType type : set.key)
      lengths.push_back(static_cast<std::uint8_t>(field(type).length));
    nftnl_set_set_data(s, NFTNL_SET_DESC_CONCAT, lengths.data(),
                       static_cast<std::uint32_t>(lengths.size()));
  }
  if (set.counter) nftnl_set_add_expr(s, nftnl_expr_alloc("counter"));
  nftnl_set_set_u32(s, NFTNL_SET_FLAGS, flags);
  nftnl_set_set_data(s, NFTNL_SET_USERDATA, userdata.data(),
                     static_cast<std::uint32_t>(userdata.size()));
  nftnl_set_nlmsg_build_payload(messages.begin(NFT_MSG_NEWSET, NLM_F_CREATE), s);
  messages.end();
}

// Written with libmnl alone: libnftnl would copy every element into an object of its own first.
std::size_t encode_elements(Messages& messages, std::uint16_t type, std::uint16_t flags,
                            const std::string& set, std::span<const Element> elements,
                            std::string_view userdata, const std::string& chain) {
  const bool are_new = type == NFT_MSG_NEWSETELEM;
  // Three keys of 32 bytes, seven attribute headers, the userdata: what one element takes at most.
  const std::size_t each =
      3 * 32 + 7 * NLA_HDRLEN + NLA_ALIGN(userdata.size()) +
      (chain.empty() ? 0 : std::size_t{4} * NLA_HDRLEN + NLA_ALIGN(chain.size() + 1));
  const std::size_t count = std::min(elements.size(), kElementBytes / each);
  nlmsghdr* header = messages.begin(type, flags, Messages::kDefaultCapacity + count * each);
  mnl_attr_put_strz(header, NFTA_SET_ELEM_LIST_TABLE, messages.table());
  mnl_attr_put_strz(header, NFTA_SET_ELEM_LIST_SET, set.c_str());
  nlattr* list = mnl_attr_nest_start(header, NFTA_SET_ELEM_LIST_ELEMENTS);
  for (const Element& element : elements.first(count)) {
    nlattr* nest = mnl_attr_nest_start(header, NFTA_LIST_ELEM);
    put_value(header, NFTA_SET_ELEM_KEY, element.key);
    if (!element.key_end.empty()) put_value(header, NFTA_SET_ELEM_KEY_END, element.key_end);
    if (are_new && !element.data.empty()) put_value(header, NFTA_SET_ELEM_DATA, element.data);
    if (are_new && !chain.empty()) put_goto(header, chain);
    if (are_new && !userdata.empty())
      mnl_attr_put(header, NFTA_SET_ELEM_USERDATA, userdata.size(), userdata.data());
    mnl_attr_nest_end(header, nest);
  }
  mnl_attr_nest_end(header, list);
  messages.end();
  return count;
}

Batch encode(const Transaction& transaction) {
  return Encoder().encode(transaction);
}

}  // namespace portmapper::nft
