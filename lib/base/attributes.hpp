// Attributes: reading the attributes of a netlink message, within their bounds.
//
//   for (const Attribute& attribute : Attributes(message_attributes(reply, sizeof(nfgenmsg))))
//     if (attribute.type == NFTA_CHAIN_NAME) use(attribute.text());
//   nested(parent, NFTA_DATA_VALUE);  // what is in an attribute
//
// The spans point into the message and live as long as it. Values are as the protocol has them;
// number32 and number64 read big-endian ones. libmnl's own loops are C macros that C++ cannot
// compile without warnings, and check the lengths less strictly. Errors: a malformed rest is not
// there. Source: kernel include/uapi/linux/netlink.h.
#pragma once

#include <endian.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "lib/base/bytes.hpp"

namespace portmapper {

struct Attribute {
  std::uint16_t type;
  Bytes payload;

  [[nodiscard]] std::string_view text() const {  // without its NUL
    const std::string_view all(reinterpret_cast<const char*>(payload.data()), payload.size());
    return all.substr(0, all.find('\0'));
  }
  [[nodiscard]] std::uint32_t number32() const { return be32toh(raw<std::uint32_t>()); }
  [[nodiscard]] std::uint64_t number64() const { return be64toh(raw<std::uint64_t>()); }
  // In host byte order, as rtnetlink has them; 0 where the length is another.
  template <typename T>
  [[nodiscard]] T raw() const {
    T value{};
    if (payload.size() == sizeof value) std::memcpy(&value, payload.data(), sizeof value);
    return value;
  }
};

class Attributes {
 public:
  explicit Attributes(Bytes bytes) : bytes_(bytes) {}

  class Iterator {
   public:
    explicit Iterator(Bytes rest) : rest_(rest) { read(); }
    const Attribute& operator*() const { return attribute_; }
    Iterator& operator++() {
      rest_ =
          rest_.subspan(std::min(rest_.size(), aligned(NLA_HDRLEN + attribute_.payload.size())));
      read();
      return *this;
    }
    bool operator!=(const Iterator& other) const { return rest_.size() != other.rest_.size(); }

   private:
    static std::size_t aligned(std::size_t length) {
      return (length + NLA_ALIGNTO - 1) & ~std::size_t{NLA_ALIGNTO - 1};
    }
    void read() {
      nlattr header{};
      if (rest_.size() >= NLA_HDRLEN) std::memcpy(&header, rest_.data(), sizeof header);
      if (header.nla_len < NLA_HDRLEN || header.nla_len > rest_.size()) {
        rest_ = {};
        return;
      }
      attribute_ = {static_cast<std::uint16_t>(header.nla_type & NLA_TYPE_MASK),
                    rest_.subspan(NLA_HDRLEN, header.nla_len - std::size_t{NLA_HDRLEN})};
    }
    Bytes rest_;
    Attribute attribute_{};
  };

  [[nodiscard]] Iterator begin() const { return Iterator(bytes_); }
  [[nodiscard]] Iterator end() const { return Iterator({}); }
  [[nodiscard]] std::optional<Attribute> find(std::uint16_t type) const {
    for (const Attribute& attribute : *this)
      if (attribute.type == type) return attribute;
    return std::nullopt;
  }

 private:
  Bytes bytes_;
};

// The payload of `parent`'s attribute of this type; empty where there is none.
inline Bytes nested(const Attribute& parent, std::uint16_t type) {
  const auto found = Attributes(parent.payload).find(type);
  return found ? found->payload : Bytes{};
}

// What lies behind the protocol's own header of `header_length` bytes.
inline Bytes message_attributes(const nlmsghdr& message, std::size_t header_length) {
  const std::size_t before = NLMSG_HDRLEN + NLMSG_ALIGN(header_length);
  if (message.nlmsg_len <= before) return {};
  return {reinterpret_cast<const std::uint8_t*>(&message) + before, message.nlmsg_len - before};
}

}  // namespace portmapper
