// Messages: netlink requests written one behind the other into one buffer, without a socket.
//
//   Messages messages;
//   nlmsghdr* header = messages.begin(NFT_MSG_NEWTABLE, NLM_F_CREATE);
//   mnl_attr_put_strz(header, NFTA_TABLE_NAME, kTable);
//   messages.end();
//
// Every message has the next sequence number, from 1, and family inet where no other is asked for;
// a dump of family NFPROTO_UNSPEC is one of all families. `begin` makes room for `capacity` bytes
// of attributes; what libmnl and libnftnl write may not be more.
// Errors: none. Does not promise: pointers that stay valid over the next begin.
// Source: netlink(7), kernel include/uapi/linux/netfilter/nfnetlink.h.
#pragma once

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lib/base/ip_address.hpp"
#include "nft/names.hpp"

namespace portmapper::nft {

// The owner of an object of libnftnl: Owned<nftnl_rule, nftnl_rule_free>.
template <auto Free>
struct Freeing {
  void operator()(auto* object) const { Free(object); }
};
template <typename T, auto Free>
using Owned = std::unique_ptr<T, Freeing<Free>>;

std::uint8_t protocol_family(Family family);  // NFPROTO_IPV4, NFPROTO_IPV6

class Messages {
 public:
  static constexpr std::size_t kDefaultCapacity = 4096;

  // `table`: which one of ours the messages are about; it outlives them.
  explicit Messages(const char* table = kTable) : table_(table) {}
  [[nodiscard]] const char* table() const { return table_; }

  nlmsghdr* begin(std::uint16_t type, std::uint16_t flags, std::size_t capacity = kDefaultCapacity);
  nlmsghdr* begin_of(std::uint8_t family, std::uint16_t type, std::uint16_t flags,
                     std::size_t capacity = kDefaultCapacity);
  void end();
  // A whole message about one object of our table, which the two attributes name.
  void write_named(std::uint16_t type, std::uint16_t flags, std::uint16_t table_attribute,
                   std::uint16_t name_attribute, const std::string& name);
  // The two ends of a batch; without a generation the kernel takes the batch whatever it is.
  void batch_begin();
  void batch_begin(std::uint32_t generation);
  void batch_end();

  [[nodiscard]] std::span<const std::uint8_t> bytes() const { return {buffer_.data(), used_}; }
  [[nodiscard]] std::uint32_t last_sequence() const { return sequence_; }
  // Asks for an acknowledgement of the message that was ended last.
  void acknowledge_last();

 private:
  std::uint8_t* make_room(std::size_t capacity);

  const char* table_;
  std::vector<std::uint8_t> buffer_;
  std::size_t used_ = 0;
  std::size_t last_ = 0;  // where the last message begins
  std::uint32_t sequence_ = 0;
};

}  // namespace portmapper::nft
