// Network: one configuration that could be read, and the rules that look at it.
//
//   const Source source{"10-web.conflist", text};
//   std::vector<Finding> findings;
//   Network network(source, root, findings);
//   network.problem(root.member("chain"), "chain", "chain is \"x\"", "why", "what to write");
//
// Each rule looks at one thing, and notes what it finds with the place in the file. `ours` is a plugin
// of the type nft-port-mapper, or of portmap's where that program is ours. Errors: none. Source: CNI SPEC.md section 1; libcni/conf.go.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "lib/config/lint/lint.hpp"
#include "lib/config/net_config.hpp"
#include "lib/json/document.hpp"

namespace portmapper::lint {

// The line and the column of an offset in a text.
void set_place(std::string_view text, std::size_t offset, Finding& finding);

class Network {
 public:
  // All of them outlive it.
  Network(const Source& source, const json::Value& root, std::vector<Finding>& findings);

  [[nodiscard]] const Source& source() const { return source_; }
  [[nodiscard]] const json::Value& root() const { return root_; }
  [[nodiscard]] bool is_list() const { return is_list_; }
  // Those of a list, in its order; of a single configuration, that one.
  [[nodiscard]] const std::vector<json::Value>& plugins() const { return plugins_; }

  void problem(const json::Value& where, std::string_view rule, std::string what, std::string why,
               std::string fix);
  void note(const json::Value& where, std::string_view rule, std::string what, std::string why,
            std::string fix);

 private:
  void add(const json::Value& where, Finding finding);

  const Source& source_;
  json::Value root_;
  bool is_list_;
  std::vector<json::Value> plugins_;
  std::vector<Finding>& findings_;
};

// "plugins[1].snat", "snat"; of the whole text "the configuration"
std::string path_of(const json::Value& value);

// What a network restricts in a chain that it names.
struct NamedChain {
  std::string file;
  config::NetConf conf;
};

// Whether a plugin of a list is ours, by its name, or under that of portmap.
bool is_ours(const json::Value& plugin, const Facts& facts);

void check_form(Network& network);
void check_keys(Network& network, const json::Value& ours);
void check_ip_masq(Network& network, const json::Value& ours);
void check_capabilities(Network& network, const json::Value& ours);
// `at` is the index of ours among the plugins.
void check_neighbours(Network& network, std::size_t at, const Facts& facts);
void check_makers(Network& network, std::size_t at, const Facts& facts);
// What parse_net_conf refuses, and a chain that one of `chains` names too; adds to those.
void check_values(Network& network, const json::Value& ours, std::vector<NamedChain>& chains);

}  // namespace portmapper::lint
