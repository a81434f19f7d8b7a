// Error and Result<T>: how every fallible function of this program reports.
//
//   const Result<std::string> text = read_all(STDIN_FILENO, "standard input");
//   if (!text) return text.error();
//   use(*text);
//
// An Error keeps what was attempted, on which object, and the errno if there was one; it becomes
// text in message() and a CNI error object in lib/cni, and nowhere else. A Status is the Result of
// a function that returns nothing. Errors: none of its own. Does not promise: that errors of one
// kind have the same text for ever. Source: the codes behind the kinds are in CNI's SPEC.md,
// section 5 "Error".
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace portmapper {

enum class ErrorKind {
  unsupported_version,  // CNI code 1
  try_again_later,      // 11: retries exhausted against concurrent ruleset changes
  not_available,        // 50: nf_tables cannot be used here
  unreadable_input,     // 100: stdin
  invalid_input,        // 101: an environment variable or the configuration
  delegate_failed,      // 102
  delegate_missing,     // 102 too: it was never started, so there is nothing of it to undo
  mapping_failed,       // 103: nftables refused
  port_taken,           // 103 too: another container has a port; it may give it back
  unsupported_command,  // 104
};

struct Error {
  ErrorKind kind = ErrorKind::mapping_failed;
  std::string what{};     // what was attempted, or the whole sentence where there is no object
  std::string object{};   // on which object; may be empty
  int error_number = 0;   // errno, 0 if there was none
  std::string details{};  // the CNI error's "details": a delegate's own words; may be empty

  // "cannot delete element: published-ip { tcp . 8080 }: Operation not permitted"
  [[nodiscard]] std::string message() const;
};

// One of each kind that more than one place reports.
inline Error mapping_failed(std::string what, std::string object = {}, int error_number = 0) {
  return {ErrorKind::mapping_failed, std::move(what), std::move(object), error_number};
}
inline Error invalid_input(std::string what, std::string object = {}) {
  return {ErrorKind::invalid_input, std::move(what), std::move(object)};
}
inline Error unreadable_input(std::string what, std::string object = {}, int error_number = 0) {
  return {ErrorKind::unreadable_input, std::move(what), std::move(object), error_number};
}
inline Error delegate_failed(std::string what, std::string object = {}, int error_number = 0,
                             std::string details = {}) {
  return {ErrorKind::delegate_failed, std::move(what), std::move(object), error_number,
          std::move(details)};
}
inline Error unsupported_command(std::string what) {
  return {ErrorKind::unsupported_command, std::move(what)};
}

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}      // NOLINT: a value is a Result
  Result(Error error) : state_(std::move(error)) {}  // NOLINT: an error is a Result

  explicit operator bool() const { return std::holds_alternative<T>(state_); }
  T& operator*() & { return std::get<T>(state_); }
  const T& operator*() const& { return std::get<T>(state_); }
  T&& operator*() && { return std::get<T>(std::move(state_)); }
  T* operator->() { return &std::get<T>(state_); }
  const T* operator->() const { return &std::get<T>(state_); }
  [[nodiscard]] const Error& error() const { return std::get<Error>(state_); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: an error is a Result

  explicit operator bool() const { return !error_.has_value(); }
  [[nodiscard]] const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace portmapper
