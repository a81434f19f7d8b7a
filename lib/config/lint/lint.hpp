// Lint: what is wrong with configuration files of networks before a container is started with them.
//
//   const Report report = lint({Source{"10-web.conflist", text}}, Facts{});
//   format(report);
//   // 10-web.conflist:9:7: problem: plugins[1].excludedDevices is not a key of nft-port-mapper
//   //     why: it has no effect; excludeDevices was probably meant
//   //     fix: rename it to excludeDevices
//   // 1 problem and no notes in 1 file
//
// A pure function: texts and facts of the host in, findings out. A text is a list (`plugins`) or a single
// configuration, as it lies on disk or as a runtime hands it to a plugin. A problem keeps ports from being
// published, or makes them something else than was meant; a note may be meant. Of networks without
// nft-port-mapper only the form is looked at. Where the program called portmap is ours, so is that type. `rule` is a word that does not change, for programs. Lines
// and columns count from 1, columns in bytes; 0: nothing in the file is the place. Errors: none. Does not
// promise: that other plugins take their parts of a list. Source: CNI SPEC.md section 1; libcni/conf.go;
// packaging/doc/configuration.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace portmapper::lint {

struct Source {
  std::string name;  // of the file; as printed
  std::string text;
};

struct Facts {
  bool bridge_netfilter = false;  // net.bridge.bridge-nf-call-iptables or -ip6tables is 1
  bool has_iptables = true;       // a program of that name is in PATH
  bool has_plugin = true;         // ours is in CNI_PATH, or nothing says where plugins are
  bool portmap_is_ours = false;   // the program of that name is (lib/host/own_plugin)
};

struct Finding {
  enum class Level : std::uint8_t { note, problem };
  Level level = Level::problem;
  std::string_view rule;
  std::string file{};
  std::size_t line = 0;
  std::size_t column = 0;
  std::string path{};  // of the value; empty: the whole text
  std::string what{};
  std::string why{};
  std::string fix{};
};

struct Report {
  std::size_t files = 0;
  std::size_t ours = 0;  // files that name nft-port-mapper
  std::vector<Finding> findings{};
};

Report lint(const std::vector<Source>& sources, const Facts& facts);

std::string format(const Report& report);
std::string format_json(const Report& report);  // as schemas/lint.schema.json says

}  // namespace portmapper::lint
