#include "lib/delegate/stderr_relay.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstddef>

namespace portmapper::delegate {
namespace {

constexpr std::chrono::seconds patience{1};

}  // namespace

void StderrRelay::take(std::string_view chunk) {
  if (given_up_) return;
  if (pending_.empty()) progress_ = Clock::now();
  pending_ += chunk;
}

int StderrRelay::fd() const {
  return pending_.empty() ? -1 : STDERR_FILENO;
}

void StderrRelay::on_ready(short revents) {
  if ((revents & POLLNVAL) != 0) return give_up();
  if (revents == 0 || pending_.empty()) return;
  const ssize_t written =
      write(STDERR_FILENO, pending_.data(), std::min<std::size_t>(pending_.size(), PIPE_BUF));
  if (written > 0) {
    pending_.erase(0, static_cast<std::size_t>(written));
    progress_ = Clock::now();
  } else if (written < 0 && errno != EINTR && errno != EAGAIN) {
    give_up();
  }
}

StderrRelay::Clock::time_point StderrRelay::stall_time() const {
  return progress_ + patience;
}

void StderrRelay::give_up_if_stalled(Clock::time_point now) {
  if (!pending_.empty() && now >= stall_time()) give_up();
}

void StderrRelay::flush() {
  while (!pending_.empty()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(stall_time() - Clock::now());
    if (left.count() <= 0) return give_up();
    pollfd poll_fd{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
    const int ready = poll(&poll_fd, 1, static_cast<int>(left.count()));
    if (ready < 0 && errno != EINTR) return give_up();
    if (ready > 0) on_ready(poll_fd.revents);
  }
}

void StderrRelay::give_up() {
  given_up_ = true;
  pending_.clear();
}

}  // namespace portmapper::delegate
