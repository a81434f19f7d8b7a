#include "lib/host/listeners.hpp"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <map>
#include <optional>

#include "lib/base/attributes.hpp"
#include "lib/host/open_files.hpp"

namespace portmapper::host {
namespace {

// A UDP socket without a peer is closed, to the kernel.
constexpr std::uint8_t waiting_state(Protocol protocol) {
  return protocol == Protocol::udp ? TCP_CLOSE : TCP_LISTEN;
}

std::optional<Listener> listener_of(const nlmsghdr& reply, Protocol protocol) {
  inet_diag_msg socket{};
  if (reply.nlmsg_type != SOCK_DIAG_BY_FAMILY || reply.nlmsg_len < NLMSG_LENGTH(sizeof socket))
    return std::nullopt;
  std::memcpy(&socket, reinterpret_cast<const char*>(&reply) + NLMSG_HDRLEN, sizeof socket);
  const std::optional<Port> port = Port::from(ntohs(socket.id.idiag_sport));
  const bool is_ipv4 = socket.idiag_family == AF_INET;
  if (!port || socket.idiag_state != waiting_state(protocol)) return std::nullopt;
  if (!is_ipv4 && socket.idiag_family != AF_INET6) return std::nullopt;
  const IpAddress address = IpAddress::from_bytes(is_ipv4 ? Family::ipv4 : Family::ipv6,
                                                  static_cast<const void*>(socket.id.idiag_src));
  const auto only_ipv6 =
      Attributes(message_attributes(reply, sizeof socket)).find(INET_DIAG_SKV6ONLY);
  return Listener{
      .port = {protocol, *port},
      .address = address.unmapped(),
      .also_ipv4 =
          !is_ipv4 && address.is_any() && (!only_ipv6 || only_ipv6->raw<std::uint8_t>() == 0),
      .inode = socket.idiag_inode,
  };
}

// A dump that the kernel cannot begin ends at once, and its end has the reason.
int dump_error(const nlmsghdr& reply) {
  if (reply.nlmsg_type != NLMSG_DONE) return acknowledgement(reply).error_number;
  int error = 0;
  if (reply.nlmsg_len >= NLMSG_LENGTH(sizeof error))
    std::memcpy(&error, reinterpret_cast<const char*>(&reply) + NLMSG_HDRLEN, sizeof error);
  return static_cast<int>(0U - static_cast<unsigned>(error));
}

// Without ports: those of all.
Status dump_sockets(Transport& sockets, Protocol protocol, Family family,
                    std::span<const ListenPort> ports, std::vector<Listener>& found) {
  struct {
    nlmsghdr header;
    inet_diag_req_v2 body;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.body.sdiag_family = socket_family(family);
  request.body.sdiag_protocol = static_cast<std::uint8_t>(protocol);
  request.body.idiag_states = 1U << waiting_state(protocol);
  if (ports.size() == 1) request.body.id.idiag_sport = htons(ports.front().port.value());
  int error_number = 0;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&request);
  const Status status = sockets.exchange({bytes, sizeof request}, [&](const nlmsghdr& reply) {
    error_number = std::max(error_number, dump_error(reply));
    std::optional<Listener> listener = listener_of(reply, protocol);
    if (listener &&
        (ports.empty() || std::binary_search(ports.begin(), ports.end(), listener->port)))
      found.push_back(std::move(*listener));
  });
  if (!status) return status;
  if (error_number == 0 || (protocol == Protocol::sctp && error_number == ENOENT)) return {};
  return mapping_failed(
      "cannot list", "the host's " + std::string(to_string(protocol)) + " sockets", error_number);
}

std::string name_of_process(const std::string& pid) {
  std::array<char, 64> name{};
  const OpenFile file(std::fopen(("/proc/" + pid + "/comm").c_str(), "re"));
  if (!file || std::fgets(name.data(), name.size(), file.get()) == nullptr) return {};
  return {name.data(), std::strcspn(name.data(), "\n")};
}

using BySocket = std::multimap<std::uint64_t, Listener*>;

// Names those whose socket the process has open, and forgets them.
void look_into(const std::string& pid, const std::string& name, BySocket& nameless) {
  const std::string directory = "/proc/" + pid + "/fd/";
  const OpenDirectory descriptors(opendir(directory.c_str()));
  while (const dirent* entry = descriptors ? readdir(descriptors.get()) : nullptr) {
    constexpr std::string_view kSocketLink = "socket:[";
    std::array<char, 64> target{};
    const ssize_t length =
        readlink((directory + entry->d_name).c_str(), target.data(), target.size() - 1);
    if (length <= 0 || !std::string_view(target.data()).starts_with(kSocketLink)) continue;
    std::uint64_t inode = 0;
    std::from_chars(target.data() + kSocketLink.size(), target.data() + length, inode);
    const auto [first, last] = nameless.equal_range(inode);
    for (auto one = first; one != last; ++one) {
      one->second->process = name;
      std::from_chars(pid.data(), pid.data() + pid.size(), one->second->pid);
    }
    nameless.erase(first, last);
  }
}

}  // namespace

Result<std::vector<Listener>> find_listeners(Transport& sockets,
                                             std::span<const ListenPort> ports) {
  std::vector<Listener> found;
  std::vector<ListenPort> wanted(ports.begin(), ports.end());
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  for (auto first = wanted.begin(); first != wanted.end();) {
    const Protocol protocol = first->protocol;
    const auto last = std::find_if(first, wanted.end(), [protocol](const ListenPort& port) {
      return port.protocol != protocol;
    });
    for (const Family family : kFamilies) {
      const Status listed = dump_sockets(sockets, protocol, family, {first, last}, found);
      if (!listed) return listed.error();
    }
    first = last;
  }
  return found;
}

Result<std::vector<Listener>> all_listeners(Transport& sockets, Protocol protocol) {
  std::vector<Listener> found;
  for (const Family family : kFamilies) {
    const Status listed = dump_sockets(sockets, protocol, family, {}, found);
    if (!listed) return listed.error();
  }
  return found;
}

void name_processes(std::span<Listener> listeners) {
  BySocket nameless;
  for (Listener& listener : listeners)
    if (listener.inode != 0) nameless.emplace(listener.inode, &listener);
  const OpenDirectory proc(nameless.empty() ? nullptr : opendir("/proc"));
  std::vector<std::pair<std::string, std::string>> others;  // in the order of their numbers
  while (const dirent* entry = proc ? readdir(proc.get()) : nullptr) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    std::string name = name_of_process(entry->d_name);
    if (name == "conmon")
      look_into(entry->d_name, name, nameless);
    else
      others.emplace_back(entry->d_name, std::move(name));
    if (nameless.empty()) return;
  }
  for (const auto& [pid, name] : others) {
    if (nameless.empty()) return;
    look_into(pid, name, nameless);
  }
}

}  // namespace portmapper::host
