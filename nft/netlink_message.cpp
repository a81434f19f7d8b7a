#include "nft/netlink_message.hpp"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>

namespace portmapper::nft {

std::uint8_t protocol_family(Family family) {
  return family == Family::ipv4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
}

std::uint8_t* Messages::make_room(std::size_t capacity) {
  const std::size_t needed = used_ + NLMSG_HDRLEN + capacity;
  if (buffer_.size() < needed) buffer_.resize(std::max(needed, buffer_.size() * 2));
  last_ = used_;
  ++sequence_;
  return buffer_.data() + used_;
}

nlmsghdr* Messages::begin(std::uint16_t type, std::uint16_t flags, std::size_t capacity) {
  return begin_of(NFPROTO_INET, type, flags, capacity);
}

nlmsghdr* Messages::begin_of(std::uint8_t family, std::uint16_t type, std::uint16_t flags,
                             std::size_t capacity) {
  auto* at = reinterpret_cast<char*>(make_room(capacity));
  return nftnl_nlmsg_build_hdr(at, type, family, flags, sequence_);
}

void Messages::end() {
  const auto* header = reinterpret_cast<const nlmsghdr*>(buffer_.data() + last_);
  used_ = last_ + MNL_ALIGN(header->nlmsg_len);
}

void Messages::write_named(std::uint16_t type, std::uint16_t flags, std::uint16_t table_attribute,
                           std::uint16_t name_attribute, const std::string& name) {
  nlmsghdr* header = begin(type, flags);
  mnl_attr_put_strz(header, table_attribute, table_);
  mnl_attr_put_strz(header, name_attribute, name.c_str());
  end();
}

void Messages::batch_begin() {
  auto* at = reinterpret_cast<char*>(make_room(kDefaultCapacity));
  nftnl_batch_begin(at, sequence_);
  end();
}

void Messages::batch_begin(std::uint32_t generation) {
  auto* at = reinterpret_cast<char*>(make_room(kDefaultCapacity));
  mnl_attr_put_u32(nftnl_batch_begin(at, sequence_), NFNL_BATCH_GENID, htonl(generation));
  end();
}

void Messages::batch_end() {
  auto* at = reinterpret_cast<char*>(make_room(kDefaultCapacity));
  nftnl_batch_end(at, sequence_);
  end();
}

void Messages::acknowledge_last() {
  reinterpret_cast<nlmsghdr*>(buffer_.data() + last_)->nlmsg_flags |= NLM_F_ACK;
}

}  // namespace portmapper::nft
