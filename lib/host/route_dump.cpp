#include "lib/host/route_dump.hpp"

#include <linux/rtnetlink.h>

#include <cerrno>

namespace portmapper::host {

Status dump_routing(std::uint16_t type, const char* object, const OnReply& on_reply) {
  Result<Netlink> netlink = Netlink::open(NETLINK_ROUTE);
  if (!netlink) return netlink.error();
  return dump_routing(*netlink, type, object, on_reply);
}

Status dump_routing(Transport& route, std::uint16_t type, const char* object,
                    const OnReply& on_reply) {
  struct {
    nlmsghdr header;
    rtgenmsg body;  // of any family
  } request{};
  request.header.nlmsg_len = NLMSG_LENGTH(sizeof request.body);
  request.header.nlmsg_type = type;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  int error_number = 0;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&request);
  const Status status = route.exchange({bytes, sizeof request}, [&](const nlmsghdr& reply) {
    if ((reply.nlmsg_flags & NLM_F_DUMP_INTR) != 0) error_number = EINTR;
    const Acknowledgement ack = acknowledgement(reply);
    if (ack.present && ack.error_number != 0) error_number = ack.error_number;
    on_reply(reply);
  });
  if (!status) return status.error();
  if (error_number != 0) return mapping_failed("cannot list", object, error_number);
  return {};
}

}  // namespace portmapper::host
