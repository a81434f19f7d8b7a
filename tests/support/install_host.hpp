// InstallHost: a host's directories of plugins and lists, for install and uninstall.
//
//   const InstallHost host;
//   host.put(host.list("10-flannel.conflist"), InstallHost::recorded("10-flannel.conflist"));
//   host.ctl(lab, {"install", host.net});  // "0\ncopied ... to ...\n"
//
// In the directory of plugins are those that the recorded lists call. `plugin` is ours, that was built. What nft-port-mapperctl finds in /var/lib/cni is `records`, whatever the
// machine has; where that is empty, there is no such directory. Errors: those of run().
#pragma once

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/files.hpp"
#include "tests/support/lab.hpp"

namespace portmapper::test {

struct InstallHost {
  static constexpr std::array kOthers = {"flannel", "calico", "cilium-cni", "bridge"};
  static bool is_other(const std::string& name) {
    return std::find(kOthers.begin(), kOthers.end(), name) != kOthers.end();
  }

  ScratchDirectory root;
  std::string plugin = root.path("plugin");
  std::string bin = root.path("bin");
  std::string net = root.path("net.d");
  std::string target = bin + "/nft-port-mapper";
  std::string records = root.path("cni");

  InstallHost() {
    for (const std::string& directory : {bin, net, records})
      std::filesystem::create_directory(directory);
    for (const char* other : kOthers) std::ofstream(bin + "/" + other) << "a plugin\n";
    std::filesystem::create_symlink(PLUGIN, plugin);
  }
  // At once, for whoever looks meanwhile.
  void put(const std::string& path, const std::string& text) const {
    const std::string fresh = root.path("new");
    std::ofstream file(fresh, std::ios::binary);
    file << text;
    REQUIRE(file.flush());
    std::filesystem::rename(fresh, path);
  }
  static std::string recorded(const std::string& name) {
    return read_file(std::string(SHARED_INPUTS) + "/lists/" + name);
  }
  [[nodiscard]] std::string list(const std::string& name) const { return net + "/" + name; }
  // A list that has portmap.
  [[nodiscard]] std::string put_list(const std::string& name) const {
    put(list(name), recorded("10-flannel.conflist"));
    return list(name);
  }
  // Every name, with what runtimes do not look at, but for the others' plugins.
  [[nodiscard]] std::string names() const {
    namespace fs = std::filesystem;
    std::vector<std::string> found;
    for (const std::string& directory : {bin, net})
      for (const fs::directory_entry& entry : fs::directory_iterator(directory))
        if (const std::string name = entry.path().filename(); !is_other(name))
          found.push_back(name);
    std::sort(found.begin(), found.end());
    std::string text;
    for (const std::string& name : found) text += name + " ";
    return text;
  }
  [[nodiscard]] bool has_plugin() const {
    return std::filesystem::exists(target) && read_file(target) == read_file(PLUGIN);
  }
  // "STATUS OUT ERR" of a call in the lab's host.
  [[nodiscard]] std::string ctl(const Lab& lab, std::vector<std::string> words) const {
    words.insert(words.begin() + 1, {"--plugin", plugin, "--to", bin});
    const std::string setup =
        "mount -t tmpfs none /var/lib && { [ -z \"$0\" ] || { mkdir /var/lib/cni && mount --bind "
        "\"$0\" "
        "/var/lib/cni; }; } && exec \"$@\"";
    words.insert(words.begin(), {"unshare", "--mount", "sh", "-c", setup, records, CTL});
    const RunResult result = run(words, {.ns = lab.host()});
    return std::to_string(result.status) + "\n" + result.out + result.err;
  }
};

}  // namespace portmapper::test
