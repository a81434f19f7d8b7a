// FlowRequest: a request to ctnetlink, about one flow or about all that a filter lets through.
//
//   FlowRequest request(IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_INET);
//   request.put_translated();
//   use(transport.exchange(request.bytes(), [](const nlmsghdr& flow) { use(flow); }));
//
// Ports and addresses are in network byte order, as the attributes have them; the filter's flags are in
// the host's. Errors: none. Real limit: a kilobyte. Source: kernel nfnetlink_conntrack.h,
// nf_conntrack_netlink.c, net/netfilter/nf_internals.h.
#pragma once

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include <array>
#include <cstdint>

#include "lib/base/bytes.hpp"

namespace portmapper::host {

// CTA_FILTER_FLAG(...) of the kernel's nf_internals.h, which has no uapi name.
constexpr std::uint32_t kFilterSource = 1U << 0;
constexpr std::uint32_t kFilterDestination = 1U << 1;
constexpr std::uint32_t kFilterProtocol = 1U << 3;
constexpr std::uint32_t kFilterSourcePort = 1U << 4;
constexpr std::uint32_t kFilterDestinationPort = 1U << 5;

class FlowRequest {
 public:
  FlowRequest(std::uint16_t message, std::uint16_t flags, std::uint8_t family,
              std::uint32_t sequence = 0) {
    header_ = mnl_nlmsg_put_header(buffer_.data());
    header_->nlmsg_seq = sequence;
    header_->nlmsg_type = static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | message);
    header_->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    auto* body = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header_, sizeof(nfgenmsg)));
    body->nfgen_family = family;
    body->version = NFNETLINK_V0;
  }
  FlowRequest(const FlowRequest&) = delete;
  FlowRequest& operator=(const FlowRequest&) = delete;
  void put(std::uint16_t type, Bytes bytes) {
    if (!bytes.empty()) mnl_attr_put(header_, type, bytes.size(), bytes.data());
  }
  // Flows whose destination is translated.
  void put_translated() {
    mnl_attr_put_u32(header_, CTA_STATUS, htonl(IPS_DST_NAT));
    mnl_attr_put_u32(header_, CTA_STATUS_MASK, htonl(IPS_DST_NAT));
  }
  // What of CTA_TUPLE_ORIG and of CTA_TUPLE_REPLY counts.
  void put_filter_flags(std::uint32_t original, std::uint32_t reply) {
    nlattr* filter = mnl_attr_nest_start(header_, CTA_FILTER);
    mnl_attr_put_u32(header_, CTA_FILTER_ORIG_FLAGS, original);
    mnl_attr_put_u32(header_, CTA_FILTER_REPLY_FLAGS, reply);
    mnl_attr_nest_end(header_, filter);
  }
  [[nodiscard]] nlmsghdr* header() { return header_; }
  [[nodiscard]] Bytes bytes() const { return {buffer_.data(), header_->nlmsg_len}; }

 private:
  alignas(nlmsghdr) std::array<std::uint8_t, 1024> buffer_{};
  nlmsghdr* header_;
};

}  // namespace portmapper::host
