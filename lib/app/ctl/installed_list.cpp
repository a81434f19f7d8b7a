#include "lib/app/ctl/installed_list.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>

#include "lib/app/ctl/input_file.hpp"
#include "lib/app/ctl/network_files.hpp"
#include "lib/cni/plugin_input.hpp"
#include "lib/host/replace_file.hpp"

namespace portmapper::ctl {
namespace {

namespace fs = std::filesystem;
using Lines = std::vector<std::string>;

constexpr mode_t kRecordMode = 0600;
constexpr int kMostEdits = 5;

// Of one list: where what it was before is kept.
std::string record_of(const std::string& list) {
  const std::size_t slash = list.rfind('/') + 1;
  return list.substr(0, slash) + "." + list.substr(slash) + "." + std::string(cni::kOurType);
}

bool exists(const std::string& path) {
  return access(path.c_str(), F_OK) == 0;
}

// The file, or the first one of the directory.
Result<std::string> list_of(const std::string& path) {
  if (!is_directory(path)) return path;
  const Result<Lines> files = network_files(path);
  if (!files) return files.error();
  if (files->empty()) return unreadable_input("there is no network configuration yet in", path);
  return files->front();
}

// Lists that install changed.
Result<Lines> recorded_lists(const std::string& path) {
  if (!is_directory(path)) return exists(record_of(path)) ? Lines{path} : Lines{};
  const std::string ending = "." + std::string(cni::kOurType);
  Lines lists;
  std::error_code error;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.size() > ending.size() + 1 && name.starts_with('.') && name.ends_with(ending))
      lists.push_back(path + "/" + name.substr(1, name.size() - 1 - ending.size()));
  }
  if (error) return unreadable_input("cannot read", path, error.value());
  std::sort(lists.begin(), lists.end());
  return lists;
}

bool is_entry(const std::string& path) {
  struct stat status {};
  return lstat(path.c_str(), &status) == 0;
}

// `step` does it, or answers false where the list was changed by somebody else.
template <typename Step>
Status until_unchanged(const std::string& list, const Step& step) {
  for (int i = 0; i < kMostEdits; ++i) {
    const Result<bool> over = step();
    if (!over) return over.error();
    if (*over) return {};
  }
  return mapping_failed("it is written by somebody else all the time, try again later", list);
}

// Nothing to undo is left where it was not done.
Result<bool> put_into(const std::string& list, config::Missing missing, Lines& done) {
  const Result<std::string> text = read_regular_file(list);
  if (!text) return text.error();
  const Result<config::ListEdit> edit = config::with_ours(*text, list, missing);
  if (!edit) return edit.error();
  if (edit->change == config::ListEdit::Change::none) return true;
  const std::string record = record_of(list);
  if (const Status kept = host::replace_file(record, *text, kRecordMode); !kept)
    return kept.error();
  const Result<bool> changed = host::replace_file_if(list, *text, edit->text);
  if (!changed || !*changed) {
    (void)unlink(record.c_str());
    return changed;
  }
  done.push_back(edit->change == config::ListEdit::Change::replaced
                     ? "replaced portmap by nft-port-mapper in " + list
                     : "added nft-port-mapper to " + list);
  return true;
}

Result<bool> take_out_of(const std::string& list, const std::string& original, Lines& done) {
  if (!exists(list)) return true;
  const Result<std::string> text = read_regular_file(list);
  if (!text) return text.error();
  const Result<std::string> before = config::without_ours(*text, original, list, record_of(list));
  if (!before) return before.error();
  if (*before == *text) return true;
  const Result<bool> changed = host::replace_file_if(list, *text, *before);
  if (!changed || !*changed) return changed;
  done.push_back(*before == original ? list + " is what it was before install"
                                     : "removed nft-port-mapper from " + list);
  return true;
}

Status take_entry(const std::string& list, Lines& done) {
  const std::string record = record_of(list);
  const Result<std::string> original = read_regular_file(record);
  if (!original) return original.error();
  const Status taken = until_unchanged(list, [&] { return take_out_of(list, *original, done); });
  if (!taken) return taken;
  if (unlink(record.c_str()) != 0) return mapping_failed("cannot remove", record, errno);
  return {};
}

}  // namespace

bool is_directory(const std::string& path) {
  std::error_code unknown;
  return fs::is_directory(path, unknown);
}

std::string directory_of(const std::string& path) {
  if (is_directory(path)) return path;
  const std::string directory = fs::path(path).parent_path().string();
  return directory.empty() ? "." : directory;
}

std::vector<std::string> directories_of(const std::string& path) {
  std::set<std::string> directories{directory_of(path)};
  Lines lists;
  if (const Result<Lines> recorded = recorded_lists(path)) lists = *recorded;
  if (const Result<std::string> list = list_of(path)) lists.push_back(*list);
  for (const std::string& list : lists) {
    std::error_code unknown;
    const fs::path real = fs::canonical(list, unknown);
    if (!unknown) directories.insert(real.parent_path().string());
  }
  return {directories.begin(), directories.end()};
}

Status check_neighbours(const std::string& path, const std::string& directory) {
  if (!exists(directory))
    return invalid_input("there is no directory " + directory +
                         "; name with --to the one where the runtime looks for plugins");
  const Result<std::string> list = list_of(path);
  const Result<std::string> text = list ? read_regular_file(*list) : list;
  const Result<Lines> others =
      text ? config::other_plugins(*text, *list) : Result<Lines>(text.error());
  if (!others || others->empty()) return {};
  std::string names;
  for (const std::string& other : *others) {
    // A link in there may lead somewhere for the host only.
    if (is_entry(directory + "/" + other)) return {};
    names += (names.empty() ? "" : ", ") + other;
  }
  return invalid_input("--to " + directory + " has none of the other plugins of " + *list + ": " +
                       names +
                       "; name the directory where the runtime looks for plugins, or say"
                       " --elsewhere if it looks in several");
}

Status put_entry(const std::string& path, config::Missing missing, Lines& done) {
  const Result<std::string> list = list_of(path);
  if (!list) return list.error();
  return until_unchanged(*list, [&] { return put_into(*list, missing, done); });
}

bool is_known(const std::string& path) {
  return exists(path) || exists(record_of(path)) || path == kNetworkDirectory;
}

std::vector<Error> take_entries(const std::string& path, Lines& done) {
  const Result<Lines> lists = recorded_lists(path);
  if (!lists) return {lists.error()};
  std::vector<Error> problems;
  for (const std::string& list : *lists)
    if (const Status taken = take_entry(list, done); !taken) problems.push_back(taken.error());
  return problems;
}

}  // namespace portmapper::ctl
