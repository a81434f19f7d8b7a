// Keys that are misspelt, and the capability without which a runtime hands no ports on.
#include "lib/cni/plugin_input.hpp"
#include "lib/config/known_keys.hpp"
#include "lib/config/lint/network.hpp"
#include "lib/json/read.hpp"

namespace portmapper::lint {
namespace {

using config::KeyPlace;

constexpr std::string_view kUnknownKey = "unknown-key";
constexpr std::string_view kCapability = "capability";
constexpr char kNothingPublished[] =
    "the runtime hands port mappings only to plugins that ask for them, so nothing is published";

// "$comment", "_was", "example.com/owner": for people, and for other programs.
bool is_for_others(std::string_view key) {
  return key.empty() || key == "comment" || std::string_view("$_#/").find(key[0]) < 4 ||
         key.find_first_of("./:") != std::string_view::npos;
}

void misspelt(Network& network, const json::Value& member, std::string_view meant,
              const std::string& why) {
  network.problem(member, kUnknownKey, path_of(member) + " is not a key of nft-port-mapper",
                  why + "; " + std::string(meant) + " was probably meant",
                  "rename it to " + std::string(meant));
}

// Of an object, keys that are like known ones.
void check_near_keys(Network& network, const json::Value& object, KeyPlace place,
                     const std::string& why) {
  if (object.kind() != json::Kind::object) return;
  for (const json::Value member : object) {
    if (config::is_known_key(place, member.key())) continue;
    const std::string_view meant = config::meant_key(place, member.key());
    if (!meant.empty()) misspelt(network, member, meant, why);
  }
}

void check_entries(Network& network, const json::Value& list, KeyPlace place) {
  if (list.kind() != json::Kind::array) return;
  for (const json::Value entry : list) check_near_keys(network, entry, place, "it has no effect");
}

// Whether a key that was meant to ask for the ports has been found.
bool is_misspelt(const json::Value& ours) {
  for (const json::Value member : ours)
    if (!config::is_known_key(KeyPlace::plugin, member.key()) &&
        config::meant_key(KeyPlace::plugin, member.key()) == "capabilities")
      return true;
  const json::Value capabilities = ours.member("capabilities");
  if (capabilities.kind() != json::Kind::object) return false;
  for (const json::Value member : capabilities)
    if (config::is_near(member.key(), "portMappings")) return true;
  return false;
}

}  // namespace

void check_keys(Network& network, const json::Value& ours) {
  const std::string no_effect = "it has no effect";
  for (const json::Value member : ours) {
    if (config::is_known_key(KeyPlace::plugin, member.key())) continue;
    const std::string_view meant = config::meant_key(KeyPlace::plugin, member.key());
    if (meant == "capabilities")
      misspelt(network, member, meant, kNothingPublished);
    else if (!meant.empty())
      misspelt(network, member, meant, no_effect);
    else if (!is_for_others(member.key()))
      network.note(member, kUnknownKey, path_of(member) + " is not a key of nft-port-mapper",
                   "it has no effect here; another plugin of the list may have it",
                   "remove it, or let its name begin with '$' if it is a comment");
  }
  check_near_keys(network, ours.member("capabilities"), KeyPlace::runtime_config,
                  kNothingPublished);
  const json::Value runtime_config = ours.member("runtimeConfig");
  check_near_keys(network, runtime_config, KeyPlace::runtime_config,
                  "the ports in it are not published");
  check_entries(network, runtime_config.member("portMappings"), KeyPlace::mapping);
  check_entries(
      network,
      ours.member("args").member("org.apache.mesos").member("network_info").member("port_mappings"),
      KeyPlace::mesos_mapping);
}

void check_ip_masq(Network& network, const json::Value& ours) {
  const json::Value wanted = ours.member("ipMasq");
  if (wanted.kind() == json::Kind::boolean && wanted.text() == "true") return;
  for (const std::string_view key : {"nonMasqueradeCIDRs", "snatAddress"})
    if (const json::Value member = ours.member(key); member.present())
      network.note(member, "masquerade", path_of(member) + " is there without \"ipMasq\": true",
                   "it has no effect", "write \"ipMasq\": true, or remove it");
}

void check_capabilities(Network& network, const json::Value& ours) {
  if (cni::has_capability(ours, "portMappings") || is_misspelt(ours)) return;
  // Mesos hands its ports to every plugin; and what a runtime has handed on has no capabilities.
  const bool is_handed_on = ours.member("delegate").present() ||
                            ours.member("runtimeConfig").present() ||
                            ours.member("prevResult").present();
  if (!network.is_list() && is_handed_on) return;
  const json::Value capability = ours.member("capabilities").member("portMappings");
  const std::string fix = "write \"capabilities\": { \"portMappings\": true }";
  if (capability.kind() != json::Kind::missing)
    return network.problem(capability, kCapability,
                           path_of(capability) + ": " + json::describe(capability) + " is not true",
                           kNothingPublished, fix);
  network.problem(ours, kCapability, path_of(ours) + " has no capabilities.portMappings",
                  kNothingPublished, fix);
}

}  // namespace portmapper::lint
