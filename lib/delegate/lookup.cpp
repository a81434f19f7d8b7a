#include "lib/delegate/lookup.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace portmapper::delegate {
namespace {

bool is_file_name(std::string_view type) {
  // A NUL byte would end the path early and run another file.
  return !type.empty() && type != "." && type != ".." &&
         type.find_first_of(std::string_view("/\0", 2)) == std::string_view::npos;
}

enum class Candidate { missing, unusable, good };

Candidate examine(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return Candidate::missing;
  if (!S_ISREG(status.st_mode) || access(path.c_str(), X_OK) != 0) return Candidate::unusable;
  return Candidate::good;
}

std::string quoted(std::string_view text) {
  return '"' + std::string(text) + '"';
}

Error nothing_usable(std::string_view type, std::string_view cni_path, bool any_directory,
                     const std::string& unusable) {
  std::string what = "delegate " + quoted(type) + ": ";
  if (!any_directory) {
    what += "CNI_PATH " + quoted(cni_path) +
            " names no directory by an absolute path; set CNI_PATH to the directory of the plugins";
  } else if (!unusable.empty()) {
    what += unusable + " is not an executable file, and there is no other in CNI_PATH " +
            quoted(cni_path) + "; make it executable, or install the plugin again";
  } else {
    what += "no executable file of that name in CNI_PATH " + quoted(cni_path) +
            "; install the plugin there, or add its directory to CNI_PATH";
  }
  return delegate_failed(std::move(what));
}

}  // namespace

Result<std::string> find_plugin(std::string_view type, std::string_view cni_path) {
  if (!is_file_name(type)) {
    return delegate_failed("delegate.type: " + quoted(type) +
                           " is not the name of a plugin; give the name of a file in CNI_PATH, "
                           "without a slash");
  }
  bool any_directory = false;
  std::string unusable;
  for (std::string_view rest = cni_path; !rest.empty();) {
    const std::string_view directory = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(directory.size() + 1, rest.size()));
    if (!directory.starts_with('/')) continue;
    any_directory = true;
    std::string path(directory);
    if (!path.ends_with('/')) path += '/';
    path += type;
    const Candidate candidate = examine(path);
    if (candidate == Candidate::good) return path;
    if (candidate == Candidate::unusable && unusable.empty()) unusable = path;
  }
  return nothing_usable(type, cni_path, any_directory, unusable);
}

}  // namespace portmapper::delegate
