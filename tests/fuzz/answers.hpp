// Answers: an input as what the kernel answers, exchange by exchange.
//
//   Answers kernel(data, size);
//   read_owners(kernel);
//
// A message of the input is four bytes and a body: its type (an index into `kTypes`; what is beyond
// them ends the exchange), its flags, its sequence number, and the body's length in units of 4
// bytes. Each lies in memory of its own, so that reading beyond it is seen. A body that is cut by
// the end of the input is as long as what is left. Errors: none.
#pragma once

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "lib/base/attributes.hpp"
#include "lib/base/netlink.hpp"

namespace portmapper::fuzz {

constexpr std::uint16_t nft_type(unsigned type) {
  return static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type);
}

class Answers final : public Transport {
 public:
  explicit Answers(Bytes input) : input_(input) {}

  Status exchange(Bytes, const OnReply& on_reply) override {
    constexpr int kMostSilence = 1000;  // who asks for a million keys is heard out no longer
    if (input_.empty() && ++silence_ > kMostSilence)
      return Error{ErrorKind::mapping_failed, "cannot receive", "netlink socket", EIO, {}};
    while (input_.size() >= 4) {
      const std::uint8_t type = input_[0];
      const std::uint8_t flags = input_[1];
      const std::uint8_t sequence = input_[2];
      const std::size_t length = std::min<std::size_t>(input_[3] * 4U, input_.size() - 4);
      const Bytes body = input_.subspan(4, length);
      input_ = input_.subspan(4 + length);
      if (type >= kTypes.size()) break;
      const auto memory = std::make_unique<std::uint8_t[]>(NLMSG_HDRLEN + length);
      const nlmsghdr header{static_cast<std::uint32_t>(NLMSG_HDRLEN + length), kTypes[type],
                            static_cast<std::uint16_t>((flags & 0xf) | (flags & 0xf0) << 4),
                            sequence, 0};
      std::memcpy(memory.get(), &header, sizeof header);
      std::copy(body.begin(), body.end(), memory.get() + NLMSG_HDRLEN);
      on_reply(*reinterpret_cast<const nlmsghdr*>(memory.get()));
    }
    return {};
  }
  Status peek(Bytes requests, const OnReply& on_reply, const IsEnough&) override {
    return exchange(requests, on_reply);
  }

 private:
  static constexpr std::array<std::uint16_t, 10> kTypes = {
      NLMSG_ERROR,
      NLMSG_DONE,
      nft_type(NFT_MSG_NEWGEN),
      nft_type(NFT_MSG_NEWTABLE),
      nft_type(NFT_MSG_NEWCHAIN),
      nft_type(NFT_MSG_NEWRULE),
      nft_type(NFT_MSG_NEWSET),
      nft_type(NFT_MSG_NEWSETELEM),
      NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW,
      SOCK_DIAG_BY_FAMILY,
  };

  Bytes input_;
  int silence_ = 0;
};

}  // namespace portmapper::fuzz
