#include "lib/host/attempts.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "lib/base/unique_fd.hpp"

namespace portmapper::host {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kAtOnce = 256;
constexpr std::chrono::milliseconds kForConnection{1500};
constexpr std::chrono::milliseconds kForDatagram{300};

struct Pending {
  std::size_t index = 0;
  UniqueFd socket;
  bool is_datagram = false;
  Clock::time_point deadline;
};

Answer answer_of(int error_number) {
  switch (error_number) {
    case 0:
      return Answer::answered;
    case ECONNREFUSED:
    case ECONNRESET:
      return Answer::refused;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EACCES:  // prohibit
    case EINVAL:  // blackhole
      return Answer::unreachable;
    case ETIMEDOUT:
      return Answer::silent;
    default:
      return Answer::untried;
  }
}

int connect_to(const UniqueFd& socket, const Destination& to) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(sockaddr_in);
  if (to.address.family() == Family::ipv4) {
    sockaddr_in place{};
    place.sin_family = AF_INET;
    place.sin_port = htons(to.port.value());
    std::memcpy(&place.sin_addr, to.address.bytes().data(), sizeof place.sin_addr);
    std::memcpy(&storage, &place, sizeof place);
  } else {
    sockaddr_in6 place{};
    place.sin6_family = AF_INET6;
    place.sin6_port = htons(to.port.value());
    std::memcpy(&place.sin6_addr, to.address.bytes().data(), sizeof place.sin6_addr);
    std::memcpy(&storage, &place, sizeof place);
    length = sizeof place;
  }
  return connect(socket.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0 ? 0
                                                                                         : errno;
}

int error_of(const UniqueFd& socket) {
  int error_number = 0;
  socklen_t length = sizeof error_number;
  getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error_number, &length);
  return error_number;
}

// What is known at once, else it is left pending.
Answer begin(const Destination& to, std::size_t index, std::vector<Pending>& pending) {
  if (to.protocol == Protocol::sctp) return Answer::untried;
  const bool is_datagram = to.protocol == Protocol::udp;
  UniqueFd socket(::socket(socket_family(to.address.family()),
                           (is_datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK,
                           0));
  if (!socket) return Answer::untried;
  const int error_number = connect_to(socket, to);
  if (error_number == 0 && !is_datagram) return Answer::answered;
  if (error_number != 0 && error_number != EINPROGRESS) return answer_of(error_number);
  if (is_datagram && send(socket.get(), "", 0, MSG_NOSIGNAL) != 0) return answer_of(errno);
  pending.push_back({index, std::move(socket), is_datagram,
                     Clock::now() + (is_datagram ? kForDatagram : kForConnection)});
  return Answer::silent;
}

// Until all have an answer or their time is over.
void await(std::vector<Pending>& pending, std::vector<Answer>& answers) {
  while (!pending.empty()) {
    std::vector<pollfd> entries;
    Clock::time_point next = pending.front().deadline;
    for (const Pending& one : pending) {
      const auto events = static_cast<short>(one.is_datagram ? POLLIN : POLLOUT);
      entries.push_back({one.socket.get(), events, 0});
      next = std::min(next, one.deadline);
    }
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(next - Clock::now()).count();
    if (poll(entries.data(), entries.size(), static_cast<int>(std::max<long>(left, 0) + 1)) < 0 &&
        errno != EINTR)
      return;
    const Clock::time_point now = Clock::now();
    for (std::size_t i = pending.size(); i-- > 0;) {
      const bool has_news = entries[i].revents != 0;
      if (!has_news && now < pending[i].deadline) continue;
      if (has_news) answers[pending[i].index] = answer_of(error_of(pending[i].socket));
      pending.erase(pending.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
}

}  // namespace

std::vector<Answer> attempt_all(std::span<const Destination> destinations) {
  std::vector<Answer> answers(destinations.size(), Answer::untried);
  for (std::size_t first = 0; first < destinations.size(); first += kAtOnce) {
    std::vector<Pending> pending;
    const std::size_t end = std::min(destinations.size(), first + kAtOnce);
    for (std::size_t i = first; i < end; ++i) answers[i] = begin(destinations[i], i, pending);
    await(pending, answers);
  }
  return answers;
}

}  // namespace portmapper::host
