#include "lib/app/retry.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <thread>

namespace portmapper::app {
namespace {

constexpr std::chrono::seconds kLimit{10};
constexpr std::uint32_t kLeastTries = 100;
constexpr std::uint32_t kLongestPause = 2000;  // microseconds

}  // namespace

bool Retry::again() {
  if (tries_++ == 0) {
    start_ = now_();
    return true;
  }
  if (tries_ > kLeastTries && now_() - start_ > kLimit) return false;
  std::minstd_rand random(static_cast<std::uint32_t>(getpid()) * 7919U + tries_);
  const std::uint32_t longest = std::min(kLongestPause, 50U * tries_);
  std::this_thread::sleep_for(std::chrono::microseconds(random() % longest));
  return true;
}

Error Retry::exhausted() {
  return {ErrorKind::try_again_later,
          "the ruleset was changed by others at each of 100 tries and more, for 10 seconds and"
          " more, so nothing was done; try again later"};
}

bool changed_concurrently(int error_number) {
  return error_number == ERESTART || error_number == EINTR || error_number == EAGAIN;
}

}  // namespace portmapper::app
