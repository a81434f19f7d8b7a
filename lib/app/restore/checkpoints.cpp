#include "lib/app/restore/checkpoints.hpp"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "lib/cni/cache_entry.hpp"
#include "lib/cni/plugin_input.hpp"
#include "lib/cni/request.hpp"
#include "lib/json/document.hpp"

namespace portmapper::restore {
namespace {

constexpr char kMesosRoot[] = "isolators/network/cni";
constexpr char kMesosConfig[] = "network.conf";
constexpr char kMesosResult[] = "network.info";
// 65,535 port mappings make 5 MiB, and base64 a third more.
constexpr std::size_t kMostBytes = std::size_t{32} << 20;

Error problem(const std::string& path, const std::string& why) {
  return unreadable_input(path + ": " + why);
}

Result<std::optional<CachedAttachment>> read_libcni(const host::Directory& results,
                                                    const host::DirectoryEntry& file,
                                                    const TypesOf& types) {
  const std::string& name = file.name;
  const std::vector<std::string_view> wanted = types(results.path() + "/" + name, file.state);
  if (wanted.empty()) return std::optional<CachedAttachment>();
  const Result<std::string> text = results.read(name, kMostBytes);
  if (!text) return text.error();
  const std::string path = results.path() + "/" + name;
  Result<cni::CacheEntry> entry = cni::CacheEntry();
  for (const std::string_view type : wanted) {
    entry = cni::parse_cache_entry(*text, type);
    if (!entry || entry->config) break;
  }
  if (!entry) return problem(path, entry.error().message());
  const std::string expected = cni::cache_file_name(entry->attachment);
  if (name != expected) return problem(path, "it is about " + expected + ", which is not its name");
  if (!entry->config) return std::optional<CachedAttachment>();
  return std::optional(CachedAttachment{std::move(entry->attachment),
                                        std::move(entry->netns),
                                        std::move(*entry->config),
                                        {},
                                        std::move(entry->pod)});
}

Result<std::optional<CachedAttachment>> read_mesos(const host::Directory& network,
                                                   const host::Directory& interface,
                                                   const Attachment& attachment,
                                                   const std::string& netns) {
  Result<std::string> config = network.read(kMesosConfig, kMostBytes);
  if (!config) return config.error();
  const std::string path = network.path() + "/" + kMesosConfig;
  const Result<json::Document> document = json::Document::parse(*config, "its configuration");
  if (!document) return problem(path, document.error().message());
  if (document->root().member("type").text() != cni::kOurType)
    return std::optional<CachedAttachment>();
  if (document->root().member("name").text() != attachment.network)
    return problem(path, "its name is not that of its directory");
  Result<std::string> result = interface.read(kMesosResult, kMostBytes);
  if (!result) return result.error();
  return std::optional(CachedAttachment{attachment, netns, std::move(*config), std::move(*result)});
}

class Scanner {
 public:
  Scanner(const CheckpointStates& known, const TypesOf& types, Scan& scan)
      : known_(known), types_(types), scan_(scan) {}

  void libcni(const host::Directory& results) {
    for (const host::DirectoryEntry& entry : entries_of(results)) {
      const std::string path = results.path() + "/" + entry.name;
      if (is_new(path, {entry.state, {}}))
        scan_.readings.push_back({path, read_libcni(results, entry, types_)});
    }
  }

  void mesos(const host::Directory& root) {
    for (const host::DirectoryEntry& container : entries_of(root)) {
      if (container.kind != host::EntryKind::directory || !cni::is_cni_name(container.name)) {
        scan_.problems.push_back(
            problem(root.path() + "/" + container.name, "is not the directory of a container"));
        continue;
      }
      const std::optional<host::Directory> directory = go_below(root, container.name);
      if (directory) mesos_container(*directory, container.name);
    }
  }

 private:
  void mesos_container(const host::Directory& container, const std::string& id) {
    for (const host::DirectoryEntry& network : entries_of(container)) {
      // Beside its networks a container has its namespace, hosts, hostname and resolv.conf.
      if (network.kind != host::EntryKind::directory || !cni::is_cni_name(network.name)) continue;
      const std::optional<host::Directory> directory = go_below(container, network.name);
      if (!directory) continue;
      for (const host::DirectoryEntry& interface : entries_of(*directory))
        if (interface.kind == host::EntryKind::directory && cni::is_interface_name(interface.name))
          mesos_interface(*directory, {network.name, id, interface.name}, container.path() + "/ns");
    }
  }

  void mesos_interface(const host::Directory& network, const Attachment& attachment,
                       const std::string& netns) {
    const std::optional<host::Directory> interface = go_below(network, attachment.ifname);
    if (!interface) return;
    const CheckpointState state{network.state_of(kMesosConfig), interface->state_of(kMesosResult)};
    // The agent writes the result after the ADD and removes it after the DEL.
    if (!state.config.exists() || !state.result.exists()) return;
    const std::string path = interface->path() + "/" + kMesosResult;
    if (is_new(path, state))
      scan_.readings.push_back({path, read_mesos(network, *interface, attachment, netns)});
  }

  bool is_new(const std::string& path, const CheckpointState& state) {
    scan_.states.emplace(path, state);
    const auto found = known_.find(path);
    return found == known_.end() || found->second != state;
  }

  // A file that disappears while it is read has been deleted. That is no problem.
  static bool is_gone(const Error& error) { return error.error_number == ENOENT; }

  std::vector<host::DirectoryEntry> entries_of(const host::Directory& directory) {
    Result<std::vector<host::DirectoryEntry>> entries = directory.entries();
    if (entries) return std::move(*entries);
    if (!is_gone(entries.error())) scan_.problems.push_back(entries.error());
    return {};
  }

  std::optional<host::Directory> go_below(const host::Directory& directory,
                                          const std::string& name) {
    Result<host::Directory> below = directory.below(name);
    if (below) return std::move(*below);
    if (!is_gone(below.error())) scan_.problems.push_back(below.error());
    return std::nullopt;
  }

  const CheckpointStates& known_;
  const TypesOf& types_;
  Scan& scan_;
};

bool is_directory(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

}  // namespace

std::vector<Source> default_sources() {
  return {{Source::Kind::libcni, "/var/lib/cni/results"},
          {Source::Kind::mesos, std::string("/run/mesos/") + kMesosRoot},
          {Source::Kind::mesos, std::string("/var/lib/mesos/") + kMesosRoot}};
}

Source source_of(const std::string& directory) {
  std::string path = directory;
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  if (is_directory(path + "/results")) return {Source::Kind::libcni, path + "/results", false};
  if (path.ends_with("/results") || path == "results") return {Source::Kind::libcni, path, false};
  const std::string below = path + "/" + kMesosRoot;
  return {Source::Kind::mesos, is_directory(below) ? below : path, false};
}

std::vector<std::string_view> only_ours(const std::string&, const host::FileState&) {
  return {cni::kOurType};
}

Scan scan_checkpoints(const std::vector<Source>& sources, const CheckpointStates& known,
                      const TypesOf& types) {
  Scan scan;
  Scanner scanner(known, types, scan);
  for (const Source& source : sources) {
    const Result<host::Directory> directory = host::Directory::open(source.path);
    if (!directory) {
      if (directory.error().error_number != ENOENT || !source.optional)
        scan.problems.push_back(directory.error());
    } else if (source.kind == Source::Kind::libcni) {
      scanner.libcni(*directory);
    } else {
      scanner.mesos(*directory);
    }
  }
  std::erase_if(scan.readings, [&scan](const Reading& reading) {
    const bool gone = !reading.cached && reading.cached.error().error_number == ENOENT;
    if (gone) scan.states.erase(reading.path);
    return gone;
  });
  std::stable_sort(
      scan.readings.begin(), scan.readings.end(), [&scan](const Reading& a, const Reading& b) {
        return scan.states.at(a.path).config.modified < scan.states.at(b.path).config.modified;
      });
  return scan;
}

}  // namespace portmapper::restore
