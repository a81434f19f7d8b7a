#include "lib/app/ctl/installation.hpp"

#include <filesystem>

#include "lib/app/ctl/installed_list.hpp"
#include "lib/app/ctl/installed_plugin.hpp"
#include "lib/app/ctl/plugin_users.hpp"
#include "lib/host/directory_lock.hpp"
#include "lib/host/replace_file.hpp"

namespace portmapper::ctl {
namespace {

using Lines = std::vector<std::string>;

// Where files are written: a list may be a link to another directory.
Lines directories_of(const Installation& place) {
  std::error_code unknown;
  const std::string real = std::filesystem::canonical(place.list, unknown).string();
  Lines directories{place.to, directory_of(place.list)};
  if (!unknown && directory_of(real) != directories.back())
    directories.push_back(directory_of(real));
  return directories;
}

// The lock is held until the answer goes.
Result<host::DirectoryLock> alone_in(const Lines& directories, Lines& done) {
  Result<host::DirectoryLock> lock = host::DirectoryLock::take(directories);
  if (!lock) return lock;
  for (const std::string& directory : directories)
    for (const std::string& path : host::remove_unfinished(directory))
      done.push_back("removed " + path + ", which was not finished");
  return lock;
}

}  // namespace

Status put_in_place(const Installation& place, Lines& done) {
  const Result<host::DirectoryLock> lock = alone_in(directories_of(place), done);
  if (!lock) return lock.error();
  if (!place.is_elsewhere)
    if (Status right = check_neighbours(place.list, place.to); !right) return right;
  if (Status copied = put_plugin(place.plugin, place.to, done); !copied) return copied;
  return put_entry(place.list, place.missing, done);
}

std::vector<Error> take_away(const Installation& place, Lines& done) {
  const Result<host::DirectoryLock> lock = alone_in(directories_of(place), done);
  if (!lock) return {lock.error()};
  std::vector<Error> problems = take_entries(place.list, done);
  const auto users = [&place] { return plugin_users(place.list, place.records); };
  if (const Status taken = take_plugin(place.plugin, place.to, users, done); !taken)
    problems.push_back(taken.error());
  return problems;
}

}  // namespace portmapper::ctl
