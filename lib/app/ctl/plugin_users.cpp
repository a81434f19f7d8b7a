#include "lib/app/ctl/plugin_users.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>

#include "lib/app/ctl/input_file.hpp"
#include "lib/app/ctl/installed_list.hpp"
#include "lib/app/ctl/network_files.hpp"
#include "lib/app/retry.hpp"
#include "lib/base/base64.hpp"
#include "lib/base/netlink.hpp"
#include "lib/cni/cache_entry.hpp"
#include "lib/cni/plugin_input.hpp"
#include "lib/config/list_edit.hpp"
#include "lib/host/netns_addresses.hpp"
#include "lib/json/document.hpp"
#include "nft/names.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::ctl {
namespace {

namespace fs = std::filesystem;
using Lines = std::vector<std::string>;

constexpr std::size_t kMostShown = 3;

std::string first_of(const Lines& words) {
  std::string text;
  for (std::size_t i = 0; i < std::min(words.size(), kMostShown); ++i)
    text += (i == 0 ? "" : ", ") + words[i];
  if (words.size() > kMostShown)
    text += " and " + std::to_string(words.size() - kMostShown) + " more";
  return text;
}

Result<std::string> lists_that_name_it(const std::string& lists) {
  Result<Lines> files = network_files(directory_of(lists));
  if (!files && files.error().error_number == ENOENT) return std::string();
  if (!files) return files.error();
  const auto is_it = [&lists](const std::string& file) {
    return fs::path(file).filename() == fs::path(lists).filename();
  };
  if (!is_directory(lists) && std::none_of(files->begin(), files->end(), is_it))
    files->push_back(lists);  // whatever it is called
  Lines naming;
  std::string unclear;
  for (const std::string& file : *files) {
    const Result<std::string> text = read_regular_file(file);
    if (!text && text.error().error_number == ENOENT) continue;
    const Result<json::Document> document =
        text ? json::Document::parse(*text, file) : Result<json::Document>(text.error());
    if (document && config::has_type(document->root(), cni::kOurType)) naming.push_back(file);
    if (!document && unclear.empty())
      unclear = "a list may name it that cannot be read: " + document.error().message();
  }
  if (naming.empty()) return unclear;
  return "it is still named by " + first_of(naming);
}

Result<std::string> published_ports() {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return netlink.error();
  const Result<std::vector<nft::OwnerEntry>> owners =
      app::retried([&netlink]() -> Result<std::vector<nft::OwnerEntry>> {
        const Result<bool> has_table = nft::has_table(*netlink);
        if (!has_table) return has_table.error();
        if (!*has_table) return std::vector<nft::OwnerEntry>{};
        return nft::read_owners(*netlink);
      });
  if (!owners) return owners.error();
  if (owners->empty()) return std::string();
  return std::to_string(owners->size()) + " published ports are still to be closed by it";
}

bool is_own_namespace(int netns) {
  struct stat other {};
  struct stat own {};
  return fstat(netns, &other) == 0 && stat("/proc/self/ns/net", &own) == 0 &&
         other.st_dev == own.st_dev && other.st_ino == own.st_ino;
}

// Where nothing tells, it may: the path is not recorded, or its directory is not mounted here. Of a process that
// is gone, the directory in /proc is gone too.
bool may_live(const std::string& netns) {
  if (netns.empty()) return true;
  const UniqueFd fd = host::open_network_namespace(netns);
  if (fd) return !is_own_namespace(fd.get());
  std::error_code unknown;
  return !netns.starts_with("/proc/") && !fs::exists(fs::path(netns).parent_path(), unknown);
}

// Multus' record has whole networks in Multus' own configuration, and its DEL calls their plugins. Whoever made
// a list of records could read this one.
std::optional<cni::CacheEntry> calls_ours(const std::string& record) {
  const Result<std::string> text = read_regular_file(record);
  if (!text) return std::nullopt;
  const Result<json::Document> document = json::Document::parse(*text, record);
  if (!document) return std::nullopt;
  const auto config = decode_base64(document->root().member("config").text());
  if (!config) return std::nullopt;
  const Result<json::Document> list = json::Document::parse(*config, record);
  if (!list || !config::has_type(list->root(), cni::kOurType)) return std::nullopt;
  Result<cni::CacheEntry> entry = cni::parse_cache_entry(*text, cni::kOurType);
  return entry ? std::optional(std::move(*entry)) : std::nullopt;
}

std::string started_containers(const std::vector<restore::Source>& records) {
  const restore::Scan scan = restore::scan_checkpoints(records, {}, restore::only_ours);
  Lines living;
  std::string unclear;
  if (!scan.problems.empty()) unclear = scan.problems.front().message();
  for (const restore::Reading& reading : scan.readings) {
    if (!reading.cached)
      unclear = reading.cached.error().message();
    else if (*reading.cached && may_live((*reading.cached)->netns))
      living.push_back(nft::attachment_comment((*reading.cached)->attachment));
    else if (!*reading.cached)
      if (const auto other = calls_ours(reading.path); other && may_live(other->netns))
        living.push_back(nft::attachment_comment(other->attachment));
  }
  if (!living.empty())
    return "containers were started with it, and their end needs it: " + first_of(living);
  return unclear.empty() ? "" : "a container may need it whose record cannot be read: " + unclear;
}

// Whoever mounts the directory above has all that libcni keeps.
std::string missing_records(const std::vector<restore::Source>& records) {
  std::string path;
  for (const restore::Source& source : records) {
    if (source.kind != restore::Source::Kind::libcni) continue;
    std::error_code unknown;
    path = fs::path(source.path).parent_path().string();
    if (fs::exists(path, unknown)) return {};
  }
  if (path.empty()) return {};
  return "whether containers were started with it, whose end needs it, cannot be known from here: "
         "there is no " +
         path;
}

}  // namespace

Result<PluginUsers> plugin_users(const std::string& lists,
                                 const std::vector<restore::Source>& records) {
  const Result<std::string> naming = lists_that_name_it(lists);
  if (!naming) return naming.error();
  if (!naming->empty()) return PluginUsers{*naming, {}};
  const Result<std::string> ports = published_ports();
  if (!ports) return ports.error();
  if (!ports->empty()) return PluginUsers{*ports, {}};
  return PluginUsers{started_containers(records), missing_records(records)};
}

}  // namespace portmapper::ctl
