#include "lib/app/ctl/installation.hpp"

#include "lib/app/ctl/installed_list.hpp"
#include "lib/app/ctl/installed_plugin.hpp"
#include "lib/app/ctl/plugin_users.hpp"
#include "lib/host/directory_lock.hpp"
#include "lib/host/new_file.hpp"

namespace portmapper::ctl {
namespace {

using Lines = std::vector<std::string>;

// The lock is held until the answer goes.
Result<host::DirectoryLock> alone_in(const Installation& place, Lines& done) {
  Lines directories = directories_of(place.list);
  directories.insert(directories.begin(), place.to);
  Result<host::DirectoryLock> lock = host::DirectoryLock::take(directories);
  if (!lock) return lock;
  for (const std::string& directory : directories)
    for (const std::string& path : host::remove_unfinished(directory))
      done.push_back("removed " + path + ", which was not finished");
  return lock;
}

}  // namespace

Status put_in_place(const Installation& place, Lines& done) {
  const Result<host::DirectoryLock> lock = alone_in(place, done);
  if (!lock) return lock.error();
  if (!place.is_elsewhere)
    if (Status right = check_neighbours(place.list, place.to); !right) return right;
  if (Status copied = put_plugin(place.plugin, place.to, done); !copied) return copied;
  return put_entry(place.list, place.missing, done);
}

std::vector<Error> take_away(const Installation& place, Lines& done) {
  if (!is_known(place.list))
    return {unreadable_input("there is no list and no directory of lists", place.list)};
  const Result<host::DirectoryLock> lock = alone_in(place, done);
  if (!lock) return {lock.error()};
  std::vector<Error> problems = take_entries(place.list, done);
  const auto users = [&place] { return plugin_users(place.list, place.records); };
  if (const Status taken = take_plugin(place.plugin, place.to, users, done); !taken)
    problems.push_back(taken.error());
  return problems;
}

}  // namespace portmapper::ctl
