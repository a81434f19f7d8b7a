// FakeTable: a table as plain data, and the kernel's answers to questions about it.
//
//   FakeTable table;
//   table.elements["owners"] = {element, ...};
//   FakeTransport kernel = table.transport();   // answers like the kernel, however it is asked
//   read_installed_ports(kernel, owner, "hostports");
//
// What nft/read/reader asks and no more: generation, table, chains, tags of rules, sets, elements
// by key and dumps of them. As in the kernel, a request for several keys ends at the first that is
// missing (ENOENT), and a dump of what does not exist is refused with ENOENT or is empty.
// `refused`: the exchange, counted from 0, that is refused with EPERM. The transport copies the
// table.
#pragma once

#include <algorithm>
#include <cerrno>
#include <map>
#include <string>
#include <vector>

#include "nft/ruleset.hpp"
#include "nft/set.hpp"
#include "nft/userdata.hpp"
#include "tests/support/replies.hpp"
#include "tests/support/requests.hpp"

namespace portmapper::test {

struct FakeChain {
  std::string name;
  std::optional<nft::Hook> hook{};
  std::vector<std::uint64_t> tags{};  // of its rules; 0: a rule without userdata
  std::uint32_t policy = 1;           // NF_ACCEPT
  std::string table = "nft-port-mapper";

  [[nodiscard]] Attrs attributes() const {
    Attrs all;
    all.text(NFTA_CHAIN_TABLE, table).text(NFTA_CHAIN_NAME, name);
    if (hook)
      all.nest(NFTA_CHAIN_HOOK,
               Attrs()
                   .number(NFTA_HOOK_HOOKNUM, hook->number)
                   .number(NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(hook->priority)))
          .text(NFTA_CHAIN_TYPE, hook->type)
          .number(NFTA_CHAIN_POLICY, policy);
    return all;
  }
};

inline Attrs set_attributes(const nft::SetSpec& set) {
  std::uint32_t flags = NFT_SET_EVAL;  // one that the kernel may add
  if (set.interval) flags |= NFT_SET_INTERVAL | NFT_SET_CONCAT;
  if (!set.data.empty()) flags |= NFT_SET_MAP;
  Attrs all;
  all.text(NFTA_SET_NAME, set.name)
      .number(NFTA_SET_KEY_TYPE, nft::concatenated_type(set.key))
      .number(NFTA_SET_FLAGS, flags);
  if (!set.data.empty()) all.number(NFTA_SET_DATA_TYPE, nft::concatenated_type(set.data));
  return all;
}

struct FakeTable {
  static constexpr std::size_t kNone = 1000;

  std::uint32_t flags = 0;
  std::vector<FakeChain> chains{};
  std::vector<nft::SetSpec> sets{};
  std::map<std::string, std::vector<FakeElement>> elements{};
  std::size_t refused = kNone;
  bool tells_counts = false;  // how many elements each set has, as Linux 6.16 does

  [[nodiscard]] FakeTransport transport() const {
    FakeTransport kernel;
    kernel.respond = [table = *this, exchange = std::size_t{0}](Bytes bytes) mutable {
      Replies replies;
      if (exchange++ == table.refused) return replies.error(1, EPERM);
      for (const Request& request : requests_in(bytes)) table.answer(request, replies);
      return replies;
    };
    return kernel;
  }

 private:
  void answer(const Request& request, Replies& replies) const {
    const std::uint32_t sequence = request.header->nlmsg_seq;
    const std::string name = request.name();
    if (name == "GETGEN") replies.generation(sequence, 7);
    if (name == "GETTABLE") answer_table(request, replies);
    if (name == "GETCHAIN")
      list(replies, request, chains, NFT_MSG_NEWCHAIN, NFTA_CHAIN_NAME,
           [](const FakeChain& chain) { return chain.attributes(); });
    if (name == "GETSET")
      list(replies, request, sets, NFT_MSG_NEWSET, NFTA_SET_NAME, [this](const nft::SetSpec& set) {
        constexpr std::uint16_t kSetCount = 20;  // NFTA_SET_COUNT
        Attrs all = set_attributes(set);
        const auto found = elements.find(set.name);
        const std::size_t count = found == elements.end() ? 0 : found->second.size();
        if (tells_counts) all.number(kSetCount, static_cast<std::uint32_t>(count));
        return all;
      });
    if (name == "GETRULE") rules(request, replies);
    if (name == "GETSETELEM") look_up(request, replies);
  }

  void answer_table(const Request& request, Replies& replies) const {
    const std::uint32_t sequence = request.header->nlmsg_seq;
    const std::string name = text_of(request, NFTA_TABLE_NAME);
    if (name == nft::kTable)
      replies.nft_message(NFT_MSG_NEWTABLE, sequence,
                          Attrs().text(NFTA_TABLE_NAME, name).number(NFTA_TABLE_FLAGS, flags));
    else
      replies.error(sequence, ENOENT);
  }

  static std::string text_of(const Request& request, std::uint16_t type) {
    return std::string(attribute_of(request.attributes(), type).text());
  }

  // One by its name, or all.
  template <typename Objects, typename Attributes>
  static void list(Replies& replies, const Request& request, const Objects& objects, unsigned type,
                   std::uint16_t name, Attributes attributes) {
    const std::uint32_t sequence = request.header->nlmsg_seq;
    const bool dump = (request.header->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
    const auto wanted = dump ? std::string() : text_of(request, name);
    bool found = false;
    for (const auto& object : objects) {
      if (!dump && object.name != wanted) continue;
      replies.nft_message(type, sequence, attributes(object), dump ? NLM_F_MULTI : 0);
      found = true;
    }
    if (dump)
      replies.done(sequence);
    else if (!found)
      replies.error(sequence, ENOENT);
  }

  void rules(const Request& request, Replies& replies) const {
    const std::string name = text_of(request, NFTA_RULE_CHAIN);
    for (const FakeChain& chain : chains) {
      if (chain.name != name) continue;
      for (const std::uint64_t tag : chain.tags) {
        Attrs all;
        all.text(NFTA_RULE_CHAIN, name);
        if (tag != 0) all.put(NFTA_RULE_USERDATA, bytes_of(nft::encode_rule_tag(tag)));
        replies.nft_message(NFT_MSG_NEWRULE, request.header->nlmsg_seq, all, NLM_F_MULTI);
      }
    }
    replies.done(request.header->nlmsg_seq);
  }

  void look_up(const Request& request, Replies& replies) const {
    const std::uint32_t sequence = request.header->nlmsg_seq;
    const auto set = elements.find(text_of(request, NFTA_SET_ELEM_LIST_SET));
    if (set == elements.end()) return void(replies.error(sequence, ENOENT));
    if ((request.header->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP) {
      constexpr std::size_t kAMessage = 100;  // an attribute holds 64 KiB
      const std::vector<FakeElement>& all = set->second;
      for (std::size_t i = 0; i < all.size(); i += kAMessage) {
        const auto first = all.begin() + static_cast<std::ptrdiff_t>(i);
        const auto count = static_cast<std::ptrdiff_t>(std::min(kAMessage, all.size() - i));
        replies.elements(sequence, {first, first + count}, NLM_F_MULTI);
      }
      return void(replies.done(sequence));
    }
    const auto keys = attribute_of(request.attributes(), NFTA_SET_ELEM_LIST_ELEMENTS);
    for (const Attribute& key : Attributes(keys.payload)) {
      const Bytes nest = attribute_of(Attributes(key.payload), NFTA_SET_ELEM_KEY).payload;
      const Bytes value = attribute_of(Attributes(nest), NFTA_DATA_VALUE).payload;
      const auto found =
          std::find_if(set->second.begin(), set->second.end(), [value](const FakeElement& element) {
            return std::equal(value.begin(), value.end(), element.key.begin(), element.key.end());
          });
      if (found == set->second.end()) return void(replies.error(sequence, ENOENT));
      replies.elements(sequence, {*found});
    }
  }
};

}  // namespace portmapper::test
