// UniqueFd: the one owner of a file descriptor; closes it in its destructor.
//
//   const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
//   if (!fd) return errno;
//   use(fd.get());
//
// Errors: a negative descriptor is "none"; the caller still has errno. Does not promise to report
// errors of close(2). Source: POSIX close(2).
#pragma once

#include <unistd.h>

#include <utility>

namespace portmapper {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  explicit operator bool() const { return fd_ >= 0; }
  [[nodiscard]] int get() const { return fd_; }
  // For whoever closed it already.
  void release() { fd_ = -1; }
  void reset() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

}  // namespace portmapper
