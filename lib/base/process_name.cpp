#include "lib/base/process_name.hpp"

#include <sys/auxv.h>
#include <sys/prctl.h>

#include <cstddef>

namespace portmapper {
namespace {

constexpr std::size_t kKept = 15;  // TASK_COMM_LEN, without the zero

}  // namespace

bool has_process_name(std::string_view file, std::string_view name) {
  return file.substr(file.rfind('/') + 1).substr(0, kKept) == name.substr(0, kKept);
}

void take_process_name(std::string_view name) {
  const unsigned long file = getauxval(AT_EXECFN);  // of the kernel's making, and no system call
  const auto* const text = reinterpret_cast<const char*>(file);  // NOLINT: it is an address
  if (file != 0 && has_process_name(text, name)) return;
  (void)prctl(PR_SET_NAME, name.data(), 0, 0, 0);
}

}  // namespace portmapper
