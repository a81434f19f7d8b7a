#include "lib/delegate/exchange.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <utility>

#include "lib/delegate/above_stderr.hpp"

namespace portmapper::delegate {
namespace {

using Chunk = std::array<char, std::size_t{64} << 10>;

Error failure(const char* what) {
  return delegate_failed(what, {}, errno);
}

// The ends are separate open files, so O_NONBLOCK on ours is not on the child's.
Status make_pipe(UniqueFd& read_end, UniqueFd& write_end, bool we_read) {
  int fds[2] = {-1, -1};
  if (pipe2(fds, O_CLOEXEC) != 0) return failure("cannot make a pipe to the delegate");
  // Both are owned before either is moved, so that neither leaks nor takes the other's place.
  UniqueFd reader(fds[0]);
  UniqueFd writer(fds[1]);
  read_end = above_stderr(std::move(reader));
  if (read_end) write_end = above_stderr(std::move(writer));
  if (!write_end || fcntl((we_read ? read_end : write_end).get(), F_SETFL, O_NONBLOCK) != 0) {
    return failure("cannot make a pipe to the delegate");
  }
  return {};
}

// How many bytes were read, 0 for none at present or for the end, which closes `fd`; -1: errno.
ssize_t read_some(UniqueFd& fd, Chunk& chunk, std::size_t at_most) {
  ssize_t got = -1;
  do {
    got = read(fd.get(), chunk.data(), std::min(at_most, chunk.size()));
  } while (got < 0 && errno == EINTR);
  if (got > 0) return got;
  if (got < 0) return errno == EAGAIN ? 0 : -1;
  fd.reset();
  return 0;
}

}  // namespace

Result<Exchange> Exchange::open(std::string_view input) {
  Exchange exchange;
  exchange.input_ = input;
  if (Status made = make_pipe(exchange.child_in_, exchange.in_, false); !made) return made.error();
  if (Status made = make_pipe(exchange.out_, exchange.child_out_, true); !made) return made.error();
  if (Status made = make_pipe(exchange.err_, exchange.child_err_, true); !made) return made.error();
  return exchange;
}

ChildEnds Exchange::child_ends() const {
  return {.in = child_in_.get(), .out = child_out_.get(), .err = child_err_.get()};
}

Result<End> Exchange::run(const Process& process, std::chrono::seconds time_limit) {
  child_in_.reset();
  child_out_.reset();
  child_err_.reset();
  constexpr std::chrono::seconds longest = std::chrono::hours(24 * 365);
  const Clock::time_point deadline = time_limit.count() <= 0
                                         ? Clock::time_point::max()
                                         : Clock::now() + std::min(time_limit, longest);
  Result<End> end = until_the_end(process, deadline);
  if (!end || *end != End::exited) process.kill_all();
  Status drained = drain();
  relay_.flush();
  if (!end || *end != End::exited) return end;
  if (!drained) return drained.error();
  return output_.size() > output_limit ? End::too_much_output : End::exited;
}

Result<End> Exchange::until_the_end(const Process& process, Clock::time_point deadline) {
  const bool has_pidfd = process.pidfd() >= 0;
  while (true) {
    std::array<pollfd, 5> fds{{
        {.fd = process.pidfd(), .events = POLLIN, .revents = 0},
        {.fd = in_.get(), .events = POLLOUT, .revents = 0},
        {.fd = out_.get(), .events = POLLIN, .revents = 0},
        {.fd = relay_.is_idle() ? err_.get() : -1, .events = POLLIN, .revents = 0},
        {.fd = relay_.fd(), .events = POLLOUT, .revents = 0},
    }};
    const int ready = poll(fds.data(), fds.size(), poll_time(Clock::now(), deadline, has_pidfd));
    if (ready < 0 && errno != EINTR) return failure("cannot wait for the delegate");
    if (fds[0].revents != 0 || (!has_pidfd && process.has_exited())) return End::exited;
    if (fds[1].revents != 0) {
      if (Status written = write_input(); !written) return written.error();
    }
    if (fds[2].revents != 0) {
      if (Status got = read_output(sizeof(Chunk)); !got) return got.error();
    }
    if (fds[3].revents != 0) read_stderr(sizeof(Chunk));
    relay_.on_ready(fds[4].revents);
    if (output_.size() > output_limit) return End::too_much_output;
    const Clock::time_point now = Clock::now();
    if (now >= deadline) return End::timed_out;
    relay_.give_up_if_stalled(now);
  }
}

int Exchange::poll_time(Clock::time_point now, Clock::time_point deadline, bool has_pidfd) const {
  Clock::time_point until = deadline;
  if (!relay_.is_idle()) until = std::min(until, relay_.stall_time());
  // Without a pidfd the exit is looked for every 10 ms.
  if (!has_pidfd) until = std::min(until, now + std::chrono::milliseconds(10));
  if (until == Clock::time_point::max()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now).count();
  return static_cast<int>(std::clamp<decltype(left)>(left, 0, INT_MAX));
}

Status Exchange::write_input() {
  if (!input_.empty()) {
    const ssize_t written = write(in_.get(), input_.data(), input_.size());
    if (written > 0) input_.remove_prefix(static_cast<std::size_t>(written));
    if (written < 0 && errno == EPIPE) {
      // It closed stdin without reading everything. Its exit status says whether that was an error.
      input_ = {};
    } else if (written < 0 && errno != EAGAIN && errno != EINTR) {
      return failure("cannot write to the delegate");
    }
  }
  if (input_.empty()) in_.reset();
  return {};
}

Status Exchange::read_output(std::size_t at_most) {
  Chunk chunk;
  const ssize_t got = read_some(out_, chunk, at_most);
  if (got < 0) return failure("cannot read from the delegate");
  output_.append(chunk.data(), static_cast<std::size_t>(got));
  return {};
}

void Exchange::read_stderr(std::size_t at_most) {
  Chunk chunk;
  const ssize_t got = read_some(err_, chunk, at_most);
  if (got < 0) err_.reset();
  if (got <= 0) return;
  const std::string_view text(chunk.data(), static_cast<std::size_t>(got));
  relay_.take(text);
  stderr_tail_ += text;
  if (stderr_tail_.size() > stderr_tail_limit) {
    stderr_tail_.erase(0, stderr_tail_.size() - stderr_tail_limit);
  }
}

Status Exchange::drain() {
  // Counted first: otherwise a daemon that keeps writing could make us read for ever.
  int waiting = 0;
  if (out_ && ioctl(out_.get(), FIONREAD, &waiting) != 0) {
    return failure("cannot read from the delegate");
  }
  const std::size_t end = output_.size() + static_cast<std::size_t>(waiting);
  while (out_ && output_.size() < end) {
    const std::size_t before = output_.size();
    if (Status got = read_output(end - before); !got) return got;
    if (output_.size() == before) break;
  }
  waiting = 0;
  if (err_ && ioctl(err_.get(), FIONREAD, &waiting) != 0) waiting = 0;
  for (; err_ && waiting > 0; waiting -= static_cast<int>(sizeof(Chunk))) {
    read_stderr(std::min(sizeof(Chunk), static_cast<std::size_t>(waiting)));
  }
  return {};
}

}  // namespace portmapper::delegate
