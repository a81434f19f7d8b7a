#include "lib/app/adopt/networks.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>

#include "lib/base/read_all.hpp"
#include "lib/base/unique_fd.hpp"
#include "lib/cni/plugin_input.hpp"
#include "lib/host/directory.hpp"
#include "lib/json/document.hpp"

namespace portmapper::adopt {
namespace {

constexpr std::size_t kMostBytesOfNetwork = std::size_t{16} << 20;

Publisher publisher_in(const json::Value& network, bool portmap_is_ours) {
  const bool has_portmap = cni::find_plugin(network, cni::kPortmapType).present();
  if (has_portmap && !portmap_is_ours) return Publisher::portmap;
  if (has_portmap || cni::find_plugin(network, cni::kOurType).present()) return Publisher::ours;
  return Publisher::nobody;
}

bool is_network(const host::DirectoryEntry& entry) {
  if (entry.kind == host::EntryKind::directory) return false;
  const std::string extension = std::filesystem::path(entry.name).extension().string();
  return extension == ".conf" || extension == ".conflist" || extension == ".json";
}

NetworkSays said_in(const NetworkFile& file, const json::Value& network, bool portmap_is_ours) {
  if (!file.distrust.empty()) return {Publisher::unsure, file.path, file.distrust};
  return {publisher_in(network, portmap_is_ours), file.path};
}

// Behind a symbolic link, the file and its directory are judged as one that is here.
Result<std::string> read_behind(const std::string& path) {
  std::string real(PATH_MAX, '\0');
  if (realpath(path.c_str(), real.data()) == nullptr)
    return unreadable_input("cannot open", path, errno);
  real.resize(std::strlen(real.c_str()));
  const std::size_t slash = real.rfind('/');
  const Result<host::Directory> directory =
      host::Directory::open(slash == 0 ? "/" : real.substr(0, slash));
  if (!directory) return directory.error();
  return directory->read(real.substr(slash + 1), kMostBytesOfNetwork);
}

// What others may have written, for the name of the network alone.
std::string read_distrusted(const std::string& path) {
  struct stat status {};
  // Examined before it is opened: opening a device file can have side effects.
  if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd || fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  Result<std::string> text = read_all(fd.get(), path, kMostBytesOfNetwork);
  return text ? *std::move(text) : std::string();
}

std::optional<NetworkFile> read_network(const host::Directory& directory,
                                        const host::DirectoryEntry& entry) {
  NetworkFile file{directory.path() + "/" + entry.name, {}};
  Result<std::string> text = entry.kind == host::EntryKind::file
                                 ? directory.read(entry.name, kMostBytesOfNetwork)
                                 : read_behind(file.path);
  if (text) {
    file.text = *std::move(text);
    return file;
  }
  if (text.error().error_number == ENOENT) return std::nullopt;  // nor can a runtime read it
  file.distrust = text.error().message();
  file.text = read_distrusted(file.path);
  return file;
}

}  // namespace

Networks networks_of(const std::vector<NetworkFile>& files, bool portmap_is_ours) {
  Networks networks;
  for (const NetworkFile& file : files) {
    const Result<json::Document> document = json::Document::parse(file.text, file.path);
    if (!document && file.distrust.empty()) continue;
    const json::Value network = document ? document->root() : json::Value();
    const std::string name(network.member("name").text());
    if (name.empty() && file.distrust.empty()) continue;
    const NetworkSays says = said_in(file, network, portmap_is_ours);
    const auto [known, is_new] = networks.emplace(name, says);
    if (!is_new && known->second.publisher == Publisher::ours) known->second = says;
  }
  return networks;
}

std::vector<std::string> usual_network_directories() {
  return {"/etc/cni/net.d", "/var/lib/rancher/k3s/agent/etc/cni/net.d", "/opt/cni/config"};
}

Result<std::vector<NetworkFile>> read_networks(const std::vector<std::string>& directories,
                                               bool must_exist) {
  std::vector<NetworkFile> files;
  for (const std::string& path : directories) {
    const Result<host::Directory> directory = host::Directory::open(path);
    if (!directory && directory.error().error_number == ENOENT && !must_exist) continue;
    if (!directory) return directory.error();
    const Result<std::vector<host::DirectoryEntry>> entries = directory->entries();
    if (!entries) return entries.error();
    for (const host::DirectoryEntry& entry : *entries) {
      if (!is_network(entry)) continue;
      if (std::optional<NetworkFile> file = read_network(*directory, entry))
        files.push_back(*std::move(file));
    }
  }
  return files;
}

}  // namespace portmapper::adopt
