#include "lib/base/error.hpp"

#include <cstring>

namespace portmapper {

std::string Error::message() const {
  std::string text = what;
  if (!object.empty()) text += ": " + object;
  if (error_number != 0) text += std::string(": ") + strerrordesc_np(error_number);
  return text;
}

}  // namespace portmapper
