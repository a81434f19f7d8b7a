// CniCache: a runtime on libcni, which keeps what it attached.
//
//   const CniCache cache(lab);
//   REQUIRE(cache.add("abc", {{8080, 80}}) == done);   // <cache>/results/web-abc-eth0 is written
//   ctl(lab, {"restore", "--from", cache.directory()});
//   REQUIRE(cache.del("abc") == done);                 // ...and removed, after the plugin's DEL
//
// Network "web" is a list of a bridge, whose result is the lab's, and our plugin, which gets its
// configuration as libcni builds it. `more` are further members of our plugin's object. `entry` and
// `write` make entries of attachments that were never added. Errors: those of run().
// Source: containernetworking/cni libcni/api.go.
#pragma once

#include <string>

#include "tests/support/files.hpp"
#include "tests/support/runtime.hpp"

namespace portmapper::test {

std::string encode_base64(const std::string& bytes);

class CniCache {
 public:
  explicit CniCache(const Lab& lab, std::string more = R"("chain":"MESOS-WEB")",
                    std::string network = "web");

  [[nodiscard]] std::string add(const std::string& container, const Mappings& ports) const;
  [[nodiscard]] std::string del(const std::string& container) const;
  // Its parts: what the plugin does, and what libcni does after it.
  [[nodiscard]] std::string plugin_add(const std::string& container, const Mappings& ports) const;
  [[nodiscard]] std::string plugin_del(const std::string& container) const;
  void forget(const std::string& container) const;
  // `result` and `netns` as the lab's container has them, where they are empty.
  [[nodiscard]] std::string entry(const std::string& container, const Mappings& ports,
                                  std::string result = "", std::string netns = "") const;
  void write(const std::string& container, const std::string& text) const;

  [[nodiscard]] std::string directory() const { return scratch_.path("cache"); }
  [[nodiscard]] std::string file(const std::string& container) const;

 private:
  const Lab& lab_;
  std::string more_;
  std::string network_;
  ScratchDirectory scratch_;
};

// nft-port-mapperctl with these words, in the lab's host.
RunResult ctl(const Lab& lab, const std::vector<std::string>& words);

}  // namespace portmapper::test
