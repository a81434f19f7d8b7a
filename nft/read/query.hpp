// Query: read requests of nf_tables, many in one exchange.
//
//   Query query;
//   query.generation();
//   query.elements(kOwners, elements);
//   const Status status = query.run(transport, [](const nlmsghdr& reply) { use(reply); });
//   use(query.found_generation());
//
// `run` hands on the replies with their sequence numbers (1 is the first request); a refusal with
// ENOENT means "is not there" and is no error. Errors: mapping_failed with the errno of any other
// refusal; EINTR when a dump was interrupted; no_answer(). Does not promise: more than one dump in
// a query, since the kernel runs one at a time for a socket. Source: kernel nf_tables_api.c.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "lib/base/netlink.hpp"
#include "nft/names.hpp"
#include "nft/netlink_message.hpp"
#include "nft/set.hpp"
#include "nft/transaction.hpp"

namespace portmapper::nft {

// What kind of message of nf_tables a reply is: NFT_MSG_NEWCHAIN, ...
bool is_reply(const nlmsghdr& reply, unsigned type);

class Query {
 public:
  // `table`: which one of ours; it outlives the query.
  explicit Query(const char* table = kTable) : messages_(table) {}

  void generation();
  // Those of `elements` that exist, up to the first that does not.
  void elements(const std::string& set, std::span<const Element> elements);
  void table();
  void table(const char* name);
  void chain(const std::string& name);
  void set(const std::string& name);
  void all_elements(const std::string& set);  // a dump
  void all_rules(const std::string& chain);   // a dump
  void all_chains();                          // a dump
  void all_sets();                            // a dump

  // Of all tables, whoever made them: dumps of NFT_MSG_GETTABLE, _GETCHAIN, _GETRULE and _GETSET.
  void everything(std::uint16_t type);
  void foreign_elements(std::uint8_t family, const std::string& table, const std::string& set);
  void foreign_chain(std::uint8_t family, const std::string& table, const std::string& chain);
  void foreign_rules(std::uint8_t family, const std::string& table, const std::string& chain);
  void foreign_rules(std::uint8_t family, const std::string& table);  // of all its chains

  Status run(Transport& transport, const OnReply& on_reply);
  // Until there is enough, as Transport::peek.
  Status peek(Transport& transport, const OnReply& on_reply, const IsEnough& is_enough);
  [[nodiscard]] std::uint32_t found_generation() const { return generation_; }

 private:
  using Exchange = std::function<Status(std::span<const std::uint8_t>, const OnReply&)>;
  Status ask(const Exchange& exchange, const OnReply& on_reply);

  Messages messages_;
  std::string object_;  // what an error names; empty: our table
  bool asks_for_keys_ = false;
  std::uint32_t generation_ = 0;
};

}  // namespace portmapper::nft
