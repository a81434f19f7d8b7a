// RouteRequest: one request of rtnetlink about one object, and its answer.
//
//   RouteRequest request(RTM_GETLINK, 0);
//   request.body<ifinfomsg>()->ifi_index = 2;
//   request.put(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
//   const Result<int> refused = request.send(transport, "an interface", [](const nlmsghdr&) {});
//
// The body comes first, then attributes; all of it fits 512 bytes, or the program ends. Numbers are
// in host byte order. Errors: of send, those of the transport, and no_answer() naming the object; a
// refusal of the kernel is its value, the errno. Does not promise: that the kernel knows the
// attributes. Source: rtnetlink(7).
#pragma once

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include <array>
#include <cstdint>
#include <span>
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

  [[nodiscard]] std::span<const std::uint8_t> bytes() const {
    return {buffer_.data(), reinterpret_cast<const nlmsghdr*>(buffer_.data())->nlmsg_len};
  }

  // The errno of the kernel's refusal; 0: there was none.
  Result<int> send(Transport& route, const std::string& object, const OnReply& on_reply) {
    return send_about(
        route, [&object] { return object; }, on_reply);
  }
  // The same, where the object's name costs something and is wanted for errors alone.
  template <typename NameObject>
  Result<int> send_about(Transport& route, const NameObject& name_object, const OnReply& on_reply) {
    int error_number = 0;
    bool answered = false;
    const Status status = route.exchange(bytes(), [&](const nlmsghdr& reply) {
      answered = true;
      const Acknowledgement ack = acknowledgement(reply);
      if (ack.present)
        error_number = ack.error_number;
      else
        on_reply(reply);
    });
    if (!status) return status.error();
    if (!answered) return no_answer(name_object());
    return error_number;
  }

 private:
  alignas(nlmsghdr) std::array<std::uint8_t, 512> buffer_{};
};

// Where would a packet to this address go? With RTM_F_FIB_MATCH the answer is the route itself, not
// what it makes of this address.
inline RouteRequest route_request_for(const IpAddress& address, unsigned rtm_flags = 0) {
  RouteRequest request(RTM_GETROUTE, 0);
  auto* const body = request.body<rtmsg>();
  body->rtm_family = socket_family(address.family());
  body->rtm_dst_len = static_cast<unsigned char>(address.length() * 8);
  body->rtm_flags = rtm_flags;
  request.put(RTA_DST, address);
  return request;
}

}  // namespace portmapper::host
