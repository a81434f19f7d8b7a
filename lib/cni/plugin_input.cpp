#include "lib/cni/plugin_input.hpp"

#include "lib/json/writer.hpp"

namespace portmapper::cni {
namespace {

bool asks_for(const json::Value& capability) {
  return capability.kind() == json::Kind::boolean && capability.text() == "true";
}

// The capability arguments that the plugin asks for, as JSON; empty for none.
std::string runtime_config(const json::Value& plugin, const json::Value& arguments) {
  json::Writer out;
  out.begin_object();
  bool any = false;
  for (const json::Value capability : plugin.member("capabilities")) {
    const json::Value argument = arguments.member(capability.key());
    if (!asks_for(capability) || argument.kind() == json::Kind::missing) continue;
    out.key(capability.key()).raw(argument.raw());
    any = true;
  }
  out.end_object();
  return any ? std::move(out).text() : std::string();
}

}  // namespace

bool is_list(const json::Value& config) {
  return config.member("plugins").kind() == json::Kind::array;
}

json::Value find_plugin(const json::Value& config, std::string_view type) {
  if (!is_list(config)) return config.member("type").text() == type ? config : json::Value();
  json::Value found;
  for (const json::Value plugin : config.member("plugins"))
    if (plugin.member("type").text() == type) found = plugin;
  return found;
}

bool has_capability(const json::Value& plugin, std::string_view capability) {
  return asks_for(plugin.member("capabilities").member(capability));
}

std::string plugin_input(const json::Value& config, const json::Value& plugin,
                         const json::Value& arguments, std::string_view prev_result) {
  const std::string runtime = runtime_config(plugin, arguments);
  json::Writer out;
  out.begin_object();
  const bool is_portmap = plugin.member("type").text() == kPortmapType;
  for (const json::Value member : plugin) {
    const std::string_view key = member.key();
    if (is_portmap && key == "backend") continue;
    if (key == "name" || key == "cniVersion" || key == "prevResult") continue;
    if (key == "runtimeConfig" && !runtime.empty()) continue;
    out.key(key).raw(member.raw());
  }
  for (const std::string_view key : {"name", "cniVersion"})
    if (config.member(key).present()) out.key(key).raw(config.member(key).raw());
  if (!runtime.empty()) out.key("runtimeConfig").raw(runtime);
  if (!prev_result.empty()) out.key("prevResult").raw(prev_result);
  out.end_object();
  return std::move(out).text();
}

}  // namespace portmapper::cni
