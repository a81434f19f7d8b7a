// RouteRequest: one request of rtnetlink about one object, and its answer.
//
//   RouteRequest request(RTM_GETLINK, 0);
//   request.body<ifinfomsg>()->ifi_index = 2;
//   request.put(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
//   const Result<int> refused = request.send(*route, "an interface", [](const nlmsghdr&) {});
//
// The body comes first, then attributes; all of it fits 512 bytes, or the program ends. Numbers are
// in host byte order. Errors: of send, those of the transport, and no_answer() naming the object; a
// refusal of the kernel is its value, the errno. Does not promise: that the kernel knows the
// attributes. Source: rtnetlink(7).
#pragma once

#include <libmnl/libmnl.h>

#include <array>
#include <cstdint>
#include <string>

#include "lib/base/error.hpp"
#include "lib/base/ip_address.hpp"
#include "lib/base/netlink.hpp"

namespace portmapper::host {

class RouteRequest {
 public:
  RouteRequest(std::uint16_t type, unsigned flags) {
    mnl_nlmsg_put_header(buffer_.data());
    header()->nlmsg_type = type;
    header()->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  }
  template <typename T>
  T* body() {
    return static_cast<T*>(mnl_nlmsg_put_extra_header(header(), sizeof(T)));
  }
  void put(std::uint16_t type, std::uint32_t value) { mnl_attr_put_u32(header(), type, value); }
  void put(std::uint16_t type, const IpAddress& address) {
    mnl_attr_put(header(), type, address.length(), address.bytes().data());
  }
  void put(std::uint16_t type, const std::string& text) {
    mnl_attr_put_strz(header(), type, text.c_str());
  }
  // For what has another form.
  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(buffer_.data()); }

  // The errno of the kernel's refusal; 0: there was none.
  Result<int> send(Transport& route, const std::string& object, const OnReply& on_reply) {
    int error_number = 0;
    bool answered = false;
    const Status status =
        route.exchange({buffer_.data(), header()->nlmsg_len}, [&](const nlmsghdr& reply) {
          answered = true;
          const Acknowledgement ack = acknowledgement(reply);
          if (ack.present)
            error_number = ack.error_number;
          else
            on_reply(reply);
        });
    if (!status) return status.error();
    if (!answered) return no_answer(object);
    return error_number;
  }

 private:
  alignas(nlmsghdr) std::array<std::uint8_t, 512> buffer_{};
};

}  // namespace portmapper::host
