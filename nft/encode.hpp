// Encode: a transaction as the bytes of one nfnetlink batch, without a socket: tests decode them.
//
//   const Batch batch = encode(transaction);
//   transport.exchange(batch.messages.bytes(), [&](const nlmsghdr& reply) {
//     use(batch.operations[reply.nlmsg_seq - 1]);  // which operation a refusal answers
//   });
//
// Byte order as said in nft/key; attributes of nf_tables are big-endian. One message holds at most
// 60,000 bytes of elements, since a netlink attribute's length has 16 bits. The last operation asks
// for an acknowledgement, so that silence is never taken for success. Errors: none.
// Source: kernel nf_tables.h and nf_tables_api.c; the expressions are those of nft --debug=netlink.
#pragma once

#include <cstdint>
#include <vector>

#include "nft/netlink_message.hpp"
#include "nft/transaction.hpp"

namespace portmapper::nft {

struct Batch {
  Messages messages;
  // By sequence number: which operation each message belongs to; the first is the batch's
  // beginning.
  std::vector<std::size_t> operations;
};

Batch encode(const Transaction& transaction);

// One rule, and the anonymous sets that it needs, whose numbers within the batch begin at `set_id`.
// Returns the first number that is free.
std::uint32_t encode_rule(Messages& messages, const std::string& chain, const Rule& rule,
                          std::uint32_t set_id, RulePlace place = {});

// One message about elements of `set`; data and userdata only where `type` makes new ones, and of a
// verdict map `goto` the chain. Of `elements` it takes as many as fit, and returns how many.
std::size_t encode_elements(Messages& messages, std::uint16_t type, std::uint16_t flags,
                            const std::string& set, std::span<const Element> elements,
                            std::string_view userdata, const std::string& chain = {});

// A set of ours, without its elements.
void encode_set(Messages& messages, const SetSpec& set, std::uint32_t set_id);

}  // namespace portmapper::nft
