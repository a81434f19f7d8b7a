#include "lib/app/ctl/installed_plugin.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "lib/app/ctl/input_file.hpp"
#include "lib/cni/plugin_input.hpp"
#include "lib/host/own_plugin.hpp"
#include "lib/host/replace_file.hpp"

namespace portmapper::ctl {
namespace {

constexpr mode_t kPluginMode = 0755;
constexpr mode_t kPermissions = 07777;

std::string file_in(const std::string& directory) {
  return directory + "/" + std::string(cni::kOurType);
}

constexpr char kWhatItIs[] = "the program nft-port-mapper of this machine";

// What a link leads to is not ours to write, so it has to be a program already.
bool is_ours(const std::string& target, const struct stat& status) {
  return host::is_own_plugin(target) &&
         (!S_ISLNK(status.st_mode) || access(target.c_str(), X_OK) == 0);
}

Error somebody_elses(const std::string& target, const struct stat& status) {
  if (S_ISLNK(status.st_mode))
    return invalid_input(target + " is a link that does not lead to " + kWhatItIs +
                         ": remove it, or mend it");
  return invalid_input(target + " is there already and not " + kWhatItIs +
                       ": remove it, or name another directory by --to");
}

// A container has the host's directory, but a root of its own, by which it would follow the host's link. The file
// systems of its root are not the host's.
bool is_on_one_file_system(const std::string& target, const std::string& directory) {
  struct stat one {};
  struct stat other {};
  return stat(target.c_str(), &one) == 0 && stat(directory.c_str(), &other) == 0 &&
         one.st_dev == other.st_dev;
}

Result<std::string> our_program(const std::string& path) {
  Result<std::string> program = read_regular_file(path);
  if (program && !host::is_own_plugin(path)) return invalid_input(path + " is not " + kWhatItIs);
  return program;
}

bool is_as_put(const std::string& target, const struct stat& status, const std::string& program) {
  if (status.st_uid != geteuid() || (status.st_mode & kPermissions) != kPluginMode) return false;
  const Result<std::string> there = read_regular_file(target);
  return there && *there == program;
}

}  // namespace

Status put_plugin(const std::string& plugin, const std::string& directory,
                  std::vector<std::string>& done) {
  const std::string target = file_in(directory);
  struct stat status {};
  const bool exists = lstat(target.c_str(), &status) == 0;
  if (exists && !is_ours(target, status)) return somebody_elses(target, status);
  if (exists && S_ISLNK(status.st_mode) && is_on_one_file_system(target, directory)) return {};
  const Result<std::string> program = our_program(plugin);
  if (!program) return program.error();
  if (exists && S_ISREG(status.st_mode) && is_as_put(target, status, *program)) return {};
  if (const Status copied = host::put_file(target, *program, kPluginMode); !copied) return copied;
  done.push_back("copied " + plugin + " to " + target);
  return {};
}

Status take_plugin(const std::string& plugin, const std::string& directory,
                   const std::function<Result<PluginUsers>()>& users,
                   std::vector<std::string>& done) {
  const std::string target = file_in(directory);
  struct stat status {};
  if (lstat(target.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  if (struct stat source{}; stat(plugin.c_str(), &source) == 0 && source.st_dev == status.st_dev &&
                            source.st_ino == status.st_ino)
    return {};
  const Result<std::string> program = read_regular_file(plugin);
  const Result<std::string> there = read_regular_file(target);
  if (!program) return program.error();
  if (!there) return there.error();
  if (*program != *there) {
    done.push_back("left " + target + ": it is another one than " + plugin);
    return {};
  }
  if (!host::is_own_plugin(target)) {
    done.push_back("left " + target + ": it is not " + kWhatItIs);
    return {};
  }
  const Result<PluginUsers> used = users();
  if (!used) return used.error();
  if (!used->reason.empty()) {
    done.push_back("left " + target + ": " + used->reason);
    return {};
  }
  if (unlink(target.c_str()) != 0) return mapping_failed("cannot remove", target, errno);
  done.push_back("removed " + target);
  if (!used->unknown.empty()) done.push_back(used->unknown);
  return {};
}

}  // namespace portmapper::ctl
