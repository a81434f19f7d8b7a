// The form of a list, and which plugins stand in it before, behind and beside ours.
#include <algorithm>
#include <array>

#include "lib/cni/plugin_input.hpp"
#include "lib/config/known_keys.hpp"
#include "lib/config/lint/network.hpp"
#include "lib/json/read.hpp"
#include "lib/json/text.hpp"

namespace portmapper::lint {
namespace {

constexpr std::string_view kForm = "form";
constexpr std::string_view kOrder = "order";

// Plugins that change an interface, or make none that ports could lead to.
constexpr std::array<std::string_view, 8> kNoMakers = {
    cni::kOurType, "bandwidth", "firewall", "loopback", cni::kPortmapType, "sbr", "tuning", "vrf"};
constexpr std::array<std::string_view, 2> kPortMappers = {cni::kPortmapType,
                                                          "mesos-cni-port-mapper"};

std::string_view type_of(const json::Value& plugin) {
  return plugin.member("type").text();
}

bool is_true(const json::Value& value) {
  return value.kind() == json::Kind::boolean && value.text() == "true";
}

bool makes_interface(const json::Value& plugin) {
  return std::find(kNoMakers.begin(), kNoMakers.end(), type_of(plugin)) == kNoMakers.end();
}

// A list whose plugins are elsewhere, or misspelt.
bool is_list_by_name(const Network& network) {
  return !network.is_list() && network.source().name.ends_with(".conflist");
}

void check_types(Network& network) {
  for (const json::Value& plugin : network.plugins()) {
    const json::Value type = plugin.member("type");
    if (type.kind() == json::Kind::missing && is_list_by_name(network)) continue;
    if (plugin.kind() != json::Kind::object)
      network.problem(plugin, kForm, path_of(plugin) + " is " + json::describe(plugin),
                      "a plugin is an object with a type; no runtime takes this list",
                      "write { \"type\": ... }");
    else if (type.kind() != json::Kind::string)
      network.problem(plugin, kForm, path_of(plugin) + " has no type",
                      "no runtime can tell which plugin is meant",
                      "write \"type\": with the file name of the plugin");
    else if (config::is_near(type.text(), cni::kOurType))
      network.problem(type, "type",
                      path_of(type) + ": " + json::describe(type) + " is no plugin of ours",
                      "runtimes look for a file of that name", "write \"nft-port-mapper\"");
  }
}

// libcni tells lists from single configurations by the name of the file.
void check_file_name(Network& network) {
  const std::string& name = network.source().name;
  if (network.is_list() && (name.ends_with(".conf") || name.ends_with(".json")))
    network.problem(
        network.root(), "file-name", "it is a list, and its name does not end in .conflist",
        "libcni reads lists from such files alone", "rename the file to end in .conflist");
  if (network.is_list() || !name.ends_with(".conflist")) return;
  if (network.root().member("type").present())
    return network.problem(network.root(), "file-name",
                           "its name ends in .conflist, and it has no list of plugins",
                           "libcni takes it for a list, and finds no plugin in it",
                           "put it into \"plugins\": [ ... ], or rename the file to end in .conf");
  network.note(network.root(), kForm, "it has no list of plugins",
               "older libcni refuses it; newer reads the plugins from files in a directory of the"
               " network's name, where lint does not look",
               "write \"plugins\": [ ... ]");
}

// Of a bridge or another plugin that makes the interface.
void check_maker(Network& network, const json::Value& maker, const Facts& facts) {
  const std::string_view type = type_of(maker);
  const json::Value backend = maker.member("ipMasqBackend");
  if ((type == "bridge" || type == "ptp") && is_true(maker.member("ipMasq")) &&
      !facts.has_iptables && backend.text() != "nftables")
    network.problem(
        maker.member("ipMasq"), "masquerade",
        path_of(maker.member("ipMasq")) + " is true, and there is no iptables in PATH",
        "most versions of the plugin call iptables for it, and fail, so no container starts",
        "write \"ipMasq\": false here, and \"ipMasq\": true in nft-port-mapper's own configuration;"
        " or \"ipMasqBackend\": \"nftables\" if this version has it");
  // With promiscMode the bridge hands packets back too, and refuses to have both.
  if (type == "bridge" && facts.bridge_netfilter && !is_true(maker.member("hairpinMode")) &&
      !is_true(maker.member("promiscMode")))
    network.problem(maker, "hairpin",
                    path_of(maker) + " is a bridge without hairpinMode, and br_netfilter is on",
                    "a container does not reach itself through its published port",
                    "write \"hairpinMode\": true");
}

}  // namespace

void check_form(Network& network) {
  const json::Value root = network.root();
  const json::Value plugins = root.member("plugins");
  if (plugins.kind() != json::Kind::missing && !network.is_list())
    return network.problem(plugins, kForm, "plugins is " + json::describe(plugins) + ", not a list",
                           "no runtime takes it", "write \"plugins\": [ ... ]");
  if (network.is_list() && network.plugins().empty())
    network.problem(plugins, kForm, "plugins is empty", "no runtime takes it",
                    "name the plugin that makes the interface, then nft-port-mapper");
  if (network.is_list() || !root.member("type").present())
    for (const json::Value member : root) {
      const std::string_view meant = config::is_known_key(config::KeyPlace::list, member.key())
                                         ? std::string_view()
                                         : config::meant_key(config::KeyPlace::list, member.key());
      if (!meant.empty())
        network.problem(member, "unknown-key", path_of(member) + " is not a key of a list",
                        "it has no effect; " + std::string(meant) + " was probably meant",
                        "rename it to " + std::string(meant));
    }
  check_types(network);
  check_file_name(network);
}

bool is_ours(const json::Value& plugin, const Facts& facts) {
  const std::string_view type = type_of(plugin);
  return type == cni::kOurType || (facts.portmap_is_ours && type == cni::kPortmapType);
}

void check_neighbours(Network& network, std::size_t at, const Facts& facts) {
  for (std::size_t i = 0; i < network.plugins().size(); ++i) {
    const json::Value& other = network.plugins()[i];
    const std::string_view type = type_of(other);
    if (i == at) continue;
    if (is_ours(other, facts))
      network.problem(other, "port-mapper", path_of(other) + " is nft-port-mapper, too",
                      "the last one of a list replaces what the others published",
                      "keep one of them");
    else if (std::find(kPortMappers.begin(), kPortMappers.end(), type) != kPortMappers.end())
      network.problem(
          other, "port-mapper",
          path_of(other) + " is " + json::quoted(type) + ", a port mapper beside nft-port-mapper",
          "both publish the same ports, and which of the two translates a connection depends"
          " on their priorities",
          "remove it, and start the containers again that it has published");
    else if (cni::has_capability(other, "portMappings"))
      network.note(other, "port-mapper",
                   path_of(other) + " (" + json::quoted(type) + ") asks for the port mappings, too",
                   "if it publishes them, both do", "take its capabilities.portMappings away");
  }
}

void check_makers(Network& network, std::size_t at, const Facts& facts) {
  const std::vector<json::Value>& plugins = network.plugins();
  const json::Value& ours = plugins[at];
  if (ours.member("delegate").present()) {
    check_maker(network, ours.member("delegate"), facts);
  } else if (!network.is_list()) {
    if (!ours.member("prevResult").present())
      network.problem(
          ours, kOrder, "nothing makes the interface",
          "nft-port-mapper publishes ports of an interface that is there; every ADD is refused",
          "put it into a list behind the plugin that makes the interface, or name a delegate");
  } else {
    const auto ours_at = plugins.begin() + static_cast<std::ptrdiff_t>(at);
    const auto behind = std::find_if(ours_at, plugins.end(), makes_interface);
    if (std::none_of(plugins.begin(), ours_at, makes_interface))
      network.problem(ours, kOrder,
                      behind == plugins.end()
                          ? "no plugin before " + path_of(ours) + " makes the interface"
                          : path_of(ours) + " stands before " + path_of(*behind) + " (" +
                                json::quoted(type_of(*behind)) + "), which makes the interface",
                      "nft-port-mapper needs the result of that plugin; every ADD is refused",
                      "put nft-port-mapper behind it");
  }
  if (network.is_list())
    for (const json::Value& plugin : plugins) check_maker(network, plugin, facts);
}

}  // namespace portmapper::lint
