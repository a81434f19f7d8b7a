// Requests: the messages in a buffer that we would send to the kernel, taken apart.
//
//   const std::vector<Request> all = requests_in(batch.messages.bytes());
//   all[1].summary();                            // "NEWTABLE create #2"
//   dump(all[1].attributes());                   // "1: 6e66..., 2: ..."
//   expressions(all[1]);                         // "meta 1: 00000001, 2: 00000006\n..."
//
// The requests point into the buffer and live as long as it. Unlike libmnl's, these loops fail a
// test where a length is wrong. Source: kernel nf_tables.h, nfnetlink.h.
#pragma once

#include <doctest/doctest.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "lib/base/attributes.hpp"
#include "tests/support/bytes.hpp"

namespace portmapper::test {

struct Request {
  const nlmsghdr* header;

  [[nodiscard]] unsigned type() const { return header->nlmsg_type & 0xff; }
  [[nodiscard]] bool is_nft() const { return header->nlmsg_type >> 8 == NFNL_SUBSYS_NFTABLES; }
  [[nodiscard]] std::string name() const {
    if (header->nlmsg_type == NFNL_MSG_BATCH_BEGIN) return "BEGIN";
    if (header->nlmsg_type == NFNL_MSG_BATCH_END) return "END";
    static const std::map<unsigned, std::string> names = {
        {NFT_MSG_NEWTABLE, "NEWTABLE"},     {NFT_MSG_NEWCHAIN, "NEWCHAIN"},
        {NFT_MSG_DELCHAIN, "DELCHAIN"},     {NFT_MSG_NEWRULE, "NEWRULE"},
        {NFT_MSG_DELRULE, "DELRULE"},       {NFT_MSG_NEWSET, "NEWSET"},
        {NFT_MSG_NEWSETELEM, "NEWSETELEM"}, {NFT_MSG_DELSETELEM, "DELSETELEM"},
        {NFT_MSG_GETSETELEM, "GETSETELEM"}, {NFT_MSG_GETGEN, "GETGEN"},
        {NFT_MSG_GETTABLE, "GETTABLE"},     {NFT_MSG_DELTABLE, "DELTABLE"},
        {NFT_MSG_DELSET, "DELSET"},         {NFT_MSG_GETSET, "GETSET"},
        {NFT_MSG_GETCHAIN, "GETCHAIN"},     {NFT_MSG_GETRULE, "GETRULE"}};
    const auto found = names.find(type());
    return is_nft() && found != names.end() ? found->second : std::to_string(header->nlmsg_type);
  }
  // The flags beside "request", which every one of them has.
  [[nodiscard]] std::string flags() const {
    const unsigned flags = header->nlmsg_flags;
    if ((flags & NLM_F_REQUEST) == 0) return " NOT-A-REQUEST";
    std::string text;
    unsigned rest = flags & ~unsigned{NLM_F_REQUEST | NLM_F_ACK};
    if (name().starts_with("GET")) {
      if ((rest & NLM_F_DUMP) == NLM_F_DUMP) text += " dump", rest &= ~unsigned{NLM_F_DUMP};
    } else {
      if (rest & NLM_F_CREATE) text += " create", rest &= ~unsigned{NLM_F_CREATE};
      if (rest & NLM_F_EXCL) text += " exclusive", rest &= ~unsigned{NLM_F_EXCL};
      if (rest & NLM_F_APPEND) text += " append", rest &= ~unsigned{NLM_F_APPEND};
    }
    if (rest != 0) text += " and " + std::to_string(rest);
    if (flags & NLM_F_ACK) text += " ack";
    return text;
  }
  [[nodiscard]] std::string summary() const {
    return name() + flags() + " #" + std::to_string(header->nlmsg_seq);
  }
  [[nodiscard]] Attributes attributes() const {
    return Attributes(message_attributes(*header, sizeof(nfgenmsg)));
  }
  [[nodiscard]] nfgenmsg generic() const {
    nfgenmsg message{};
    std::memcpy(&message, reinterpret_cast<const char*>(header) + NLMSG_HDRLEN, sizeof message);
    return message;
  }
};

inline std::vector<Request> requests_in(std::span<const std::uint8_t> bytes) {
  std::vector<Request> requests;
  while (!bytes.empty()) {
    REQUIRE(bytes.size() >= NLMSG_HDRLEN);
    const auto* header = reinterpret_cast<const nlmsghdr*>(bytes.data());
    REQUIRE(header->nlmsg_len >= NLMSG_HDRLEN);
    REQUIRE(NLMSG_ALIGN(header->nlmsg_len) <= bytes.size());
    requests.push_back({header});
    bytes = bytes.subspan(NLMSG_ALIGN(header->nlmsg_len));
  }
  return requests;
}

inline std::string summaries(const std::vector<Request>& requests) {
  std::string text;
  for (const Request& request : requests) text += request.summary() + "\n";
  return text;
}

// "1: 00000001, 2: 00000006": one level by type, since libnftnl is free to choose the order; nested
// ones as their bytes.
inline std::string dump(const Attributes& attributes) {
  std::multimap<std::uint16_t, std::string> sorted;
  for (const Attribute& attribute : attributes)
    sorted.emplace(attribute.type, hex(attribute.payload));
  std::string text;
  for (const auto& [type, value] : sorted)
    text += (text.empty() ? "" : ", ") + std::to_string(type) + ": " + value;
  return text;
}

inline Attribute attribute_of(const Attributes& attributes, std::uint16_t type) {
  const auto found = attributes.find(type);
  REQUIRE(found.has_value());
  return *found;
}

inline std::string expressions(const Request& rule) {
  std::string text;
  for (const Attribute& one :
       Attributes(attribute_of(rule.attributes(), NFTA_RULE_EXPRESSIONS).payload)) {
    const Attributes parts(one.payload);
    text += std::string(attribute_of(parts, NFTA_EXPR_NAME).text());
    const auto data = parts.find(NFTA_EXPR_DATA);
    if (data && !data->payload.empty()) text += " " + dump(Attributes(data->payload));
    text += "\n";
  }
  return text;
}

inline std::size_t element_count(const Request& request) {
  std::size_t count = 0;
  const auto list = attribute_of(request.attributes(), NFTA_SET_ELEM_LIST_ELEMENTS);
  for (const Attribute& element : Attributes(list.payload)) {
    CHECK(element.type == NFTA_LIST_ELEM);
    ++count;
  }
  return count;
}

}  // namespace portmapper::test
