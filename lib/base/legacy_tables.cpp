#include "lib/base/legacy_tables.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "lib/base/read_all.hpp"
#include "lib/base/unique_fd.hpp"

namespace portmapper {
namespace {

constexpr char kProc[] = "/proc/thread-self/net";

}  // namespace

Result<bool> has_legacy_nat(Family family) {
  const std::string path =
      std::string(kProc) + (family == Family::ipv4 ? "/ip_tables_names" : "/ip6_tables_names");
  const UniqueFd list(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  // The list is not there before the kernel's module is.
  if (!list && errno == ENOENT && access(kProc, F_OK) == 0) return false;
  if (!list) return mapping_failed("cannot open", path, errno);
  const Result<std::string> names = read_all(list.get(), path);
  if (!names) return names.error();
  return names->starts_with("nat\n") || names->find("\nnat\n") != std::string::npos;
}

}  // namespace portmapper
