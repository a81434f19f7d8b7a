// Replies: what the kernel answers, written by hand, and a Transport that hands it on.
//
//   FakeTransport kernel;
//   kernel.answers.push_back(Replies().generation(1, 7).error(2, ENOENT));
//   read_installed_ports(kernel, owner, "hostports");   // gets those two messages
//   kernel.requests[0];                         // the bytes it sent
//
// Each exchange or peek takes the next answer, or asks `respond`, which finds nothing where a
// test does not say what. `failure` is what the socket itself says after the answer. Attributes are
// written without libmnl, so that reader and encoder are not tested with themselves; a wrong length
// can be written too. Source: kernel include/uapi/linux/netlink.h, nf_tables.h.
#pragma once

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <cstring>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "lib/base/attributes.hpp"
#include "lib/base/netlink.hpp"
#include "tests/support/bytes.hpp"

namespace portmapper::test {

// Attributes one behind the other.
class Attrs {
 public:
  Attrs& put(std::uint16_t type, std::span<const std::uint8_t> payload) {
    return put_with_length(type, static_cast<std::uint16_t>(payload.size() + NLA_HDRLEN), payload);
  }
  Attrs& put_with_length(std::uint16_t type, std::uint16_t length,
                         std::span<const std::uint8_t> payload) {
    const nlattr header{length, type};
    const auto* at = reinterpret_cast<const std::uint8_t*>(&header);
    bytes_.insert(bytes_.end(), at, at + sizeof header);
    bytes_.insert(bytes_.end(), payload.begin(), payload.end());
    bytes_.resize((bytes_.size() + 3) & ~std::size_t{3});
    return *this;
  }
  Attrs& text(std::uint16_t type, const std::string& text) {
    return put(type, {reinterpret_cast<const std::uint8_t*>(text.c_str()), text.size() + 1});
  }
  Attrs& number(std::uint16_t type, std::uint32_t value) {
    const std::uint32_t big = htobe32(value);
    return put(type, {reinterpret_cast<const std::uint8_t*>(&big), sizeof big});
  }
  Attrs& nest(std::uint16_t type, const Attrs& inner) {
    return put(static_cast<std::uint16_t>(type | NLA_F_NESTED), inner.bytes_);
  }
  [[nodiscard]] const Buffer& bytes() const { return bytes_; }

 private:
  Buffer bytes_;
};

// One element as the kernel lists it; empty parts are left out.
struct FakeElement {
  Buffer key;
  Buffer data{};
  std::string userdata{};
  std::optional<std::uint32_t> packets{};
  Buffer key_end{};  // of intervals

  [[nodiscard]] Attrs attributes() const {
    Attrs all;
    if (!key.empty()) all.nest(NFTA_SET_ELEM_KEY, Attrs().put(NFTA_DATA_VALUE, key));
    if (!key_end.empty()) all.nest(NFTA_SET_ELEM_KEY_END, Attrs().put(NFTA_DATA_VALUE, key_end));
    if (!data.empty()) all.nest(NFTA_SET_ELEM_DATA, Attrs().put(NFTA_DATA_VALUE, data));
    if (!userdata.empty()) all.put(NFTA_SET_ELEM_USERDATA, bytes_of(userdata));
    if (packets) {
      Buffer big(8);
      for (unsigned i = 0; i < 4; ++i)
        big[7 - i] = static_cast<std::uint8_t>(*packets >> 8 * i & 0xff);
      all.nest(
          NFTA_SET_ELEM_EXPR,
          Attrs()
              .text(NFTA_EXPR_NAME, "counter")
              .nest(NFTA_EXPR_DATA,
                    Attrs().put(NFTA_COUNTER_BYTES, Buffer(8)).put(NFTA_COUNTER_PACKETS, big)));
    }
    return all;
  }
};

class Replies {
 public:
  static std::uint16_t nft(unsigned type) {
    return static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type);
  }

  // Any message: `body` is what lies behind the netlink header.
  Replies& message(std::uint16_t type, std::uint16_t flags, std::uint32_t sequence,
                   const Buffer& body) {
    const nlmsghdr header{static_cast<std::uint32_t>(NLMSG_HDRLEN + body.size()), type, flags,
                          sequence, 0};
    const auto* at = reinterpret_cast<const std::uint8_t*>(&header);
    bytes_.insert(bytes_.end(), at, at + sizeof header);
    bytes_.insert(bytes_.end(), body.begin(), body.end());
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
    return *this;
  }
  Replies& nft_message(unsigned type, std::uint32_t sequence, const Attrs& attributes,
                       std::uint16_t flags = 0) {
    Buffer body = {1, 0, 0, 0};  // nfgenmsg: family inet, version, resource
    body.insert(body.end(), attributes.bytes().begin(), attributes.bytes().end());
    return message(nft(type), flags, sequence, body);
  }
  Replies& acknowledge(std::uint32_t sequence) { return error(sequence, 0); }
  // A refusal, with the kernel's own words where there are some.
  Replies& error(std::uint32_t sequence, int error_number, const std::string& reason = {}) {
    nlmsgerr answer{};
    answer.error = -error_number;
    answer.msg.nlmsg_len = 20;
    answer.msg.nlmsg_seq = sequence;
    const auto* at = reinterpret_cast<const std::uint8_t*>(&answer);
    Buffer body(at, at + sizeof answer);
    std::uint16_t flags = NLM_F_CAPPED;
    if (!reason.empty()) {
      const Attrs attributes = Attrs().text(NLMSGERR_ATTR_MSG, reason);
      body.insert(body.end(), attributes.bytes().begin(), attributes.bytes().end());
      flags |= NLM_F_ACK_TLVS;
    }
    return message(NLMSG_ERROR, flags, sequence, body);
  }
  Replies& done(std::uint32_t sequence) {
    return message(NLMSG_DONE, NLM_F_MULTI, sequence, Buffer(4));
  }
  Replies& generation(std::uint32_t sequence, std::uint32_t id) {
    return nft_message(NFT_MSG_NEWGEN, sequence, Attrs().number(NFTA_GEN_ID, id));
  }
  Replies& elements(std::uint32_t sequence, const std::vector<FakeElement>& list,
                    std::uint16_t flags = 0) {
    Attrs all;
    for (const FakeElement& element : list) all.nest(NFTA_LIST_ELEM, element.attributes());
    return nft_message(NFT_MSG_NEWSETELEM, sequence,
                       Attrs()
                           .text(NFTA_SET_ELEM_LIST_TABLE, "nft-port-mapper")
                           .nest(NFTA_SET_ELEM_LIST_ELEMENTS, all),
                       flags);
  }

  [[nodiscard]] const Buffer& bytes() const { return bytes_; }

 private:
  Buffer bytes_;
};

// The end of a dump of nothing, as the answer to the last of the requests.
inline Replies nothing_found(Bytes requests) {
  std::uint32_t last = 0;
  for (std::size_t at = 0; at < requests.size();) {
    const auto* request = reinterpret_cast<const nlmsghdr*>(requests.data() + at);
    last = request->nlmsg_seq;
    at += NLMSG_ALIGN(request->nlmsg_len);
  }
  return Replies().done(last);
}

class FakeTransport final : public Transport {
 public:
  Status exchange(std::span<const std::uint8_t> bytes, const OnReply& on_reply) override {
    requests.emplace_back(bytes.begin(), bytes.end());
    const Buffer answer = next_answer(bytes).bytes();
    for (std::size_t at = 0; at < answer.size();) {
      const auto* reply = reinterpret_cast<const nlmsghdr*>(answer.data() + at);
      on_reply(*reply);
      at += NLMSG_ALIGN(reply->nlmsg_len);
    }
    if (failure) return *failure;
    return {};
  }
  // As if each message came in a datagram of its own.
  Status peek(std::span<const std::uint8_t> bytes, const OnReply& on_reply,
              const IsEnough& is_enough) override {
    ++peeks;
    bool has_enough = false;
    return exchange(bytes, [&](const nlmsghdr& reply) {
      if (!has_enough) on_reply(reply);
      has_enough = has_enough || is_enough();
    });
  }

  std::deque<Replies> answers;
  std::function<Replies(Bytes)> respond = nothing_found;
  std::vector<Buffer> requests;
  std::size_t peeks = 0;
  std::optional<Error> failure;

 private:
  Replies next_answer(Bytes request) {
    if (answers.empty()) return respond(request);
    Replies answer = std::move(answers.front());
    answers.pop_front();
    return answer;
  }
};

}  // namespace portmapper::test
