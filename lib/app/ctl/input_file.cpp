#include "lib/app/ctl/input_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "lib/base/read_all.hpp"
#include "lib/base/unique_fd.hpp"

namespace portmapper::ctl {

Result<std::string> read_input_file(const std::string& name) {
  if (name == "-") return read_all(STDIN_FILENO, "standard input");
  const UniqueFd file(open(name.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return unreadable_input("cannot open", name, errno);
  return read_all(file.get(), name);
}

}  // namespace portmapper::ctl
