#include "lib/app/ctl/input_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
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

Result<std::string> read_regular_file(const std::string& name) {
  const UniqueFd file(open(name.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat status {};
  if (!file || fstat(file.get(), &status) != 0) return unreadable_input("cannot open", name, errno);
  if (!S_ISREG(status.st_mode)) return unreadable_input(name + " is not a regular file");
  return read_all(file.get(), name);
}

}  // namespace portmapper::ctl
