#include "lib/base/error.hpp"

#include "lib/base/libc.hpp"

namespace portmapper {

std::string Error::message() const {
  std::string text = what;
  if (!object.empty()) text += ": " + object;
  if (error_number == 0) return text;
  // The kernel has errors that no C library knows, such as ENOTSUPP (524).
  const char* const known = libc::error_words(error_number);
  text += ": " + (known != nullptr ? known : "error " + std::to_string(error_number));
  return text;
}

}  // namespace portmapper
