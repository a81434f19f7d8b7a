#include "lib/cni/cache_entry.hpp"

#include "lib/base/base64.hpp"
#include "lib/cni/pod_arguments.hpp"
#include "lib/cni/request.hpp"
#include "lib/json/document.hpp"
#include "lib/json/read.hpp"
#include "lib/json/writer.hpp"

namespace portmapper::cni {
namespace {

constexpr std::string_view kKind = "cniCacheV1";

std::string read_name(const json::Value& root, std::string_view key,
                      bool (*is_right)(std::string_view), json::Problems& problems) {
  const json::Value value = root.member(key);
  if (!value.present()) {
    problems.missing(root, key);
    return {};
  }
  const std::optional<std::string_view> name = json::read_string(value, problems);
  if (!name) return {};
  if (!is_right(*name)) problems.about(value, "is not a name that CNI allows");
  return std::string(*name);
}

std::string sandbox(const json::Value& result, std::string_view ifname) {
  for (const json::Value interface : result.member("interfaces"))
    if (interface.member("name").text() == ifname && !interface.member("sandbox").text().empty())
      return std::string(interface.member("sandbox").text());
  return {};
}

// Of pairs, [["K8S_POD_NAME", "nginx"], ...].
Pod pod_in(const json::Value& arguments) {
  Pod pod;
  for (const json::Value pair : arguments) {
    std::string_view key;
    for (const json::Value part : pair) {
      if (!key.empty()) note_argument(pod, key, part.text());
      key = part.text();
    }
  }
  return pod;
}

// The object of `plugin` in a list of plugins or a single configuration; missing where it is in
// neither.
json::Value find_plugin(const json::Value& config, std::string_view plugin) {
  const json::Value plugins = config.member("plugins");
  if (plugins.kind() != json::Kind::array)
    return config.member("type").text() == plugin ? config : json::Value();
  json::Value found;
  for (const json::Value candidate : plugins)
    if (candidate.member("type").text() == plugin) found = candidate;
  return found;
}

// The capability arguments that the plugin asks for, as JSON; empty for none.
std::string runtime_config(const json::Value& plugin, const json::Value& arguments) {
  json::Writer out;
  out.begin_object();
  bool any = false;
  for (const json::Value capability : plugin.member("capabilities")) {
    const json::Value argument = arguments.member(capability.key());
    if (capability.text() != "true" || argument.kind() == json::Kind::missing) continue;
    out.key(capability.key()).raw(argument.raw());
    any = true;
  }
  out.end_object();
  return any ? std::move(out).text() : std::string();
}

std::string build_config(const json::Value& config, const json::Value& plugin,
                         const json::Value& root) {
  const std::string runtime = runtime_config(plugin, root.member("capabilityArgs"));
  json::Writer out;
  out.begin_object();
  for (const json::Value member : plugin) {
    const std::string_view key = member.key();
    if (key == "name" || key == "cniVersion" || key == "prevResult") continue;
    if (key == "runtimeConfig" && !runtime.empty()) continue;
    out.key(key).raw(member.raw());
  }
  for (const std::string_view key : {"name", "cniVersion"})
    if (config.member(key).present()) out.key(key).raw(config.member(key).raw());
  if (!runtime.empty()) out.key("runtimeConfig").raw(runtime);
  out.key("prevResult").raw(root.member("result").raw());
  out.end_object();
  return std::move(out).text();
}

Result<std::optional<std::string>> read_config(const json::Value& root, std::string_view plugin,
                                               const std::string& network) {
  const json::Value value = root.member("config");
  const std::optional<std::string> text = decode_base64(value.text());
  if (value.kind() != json::Kind::string || !text)
    return invalid_input("config is not a configuration in base64");
  const Result<json::Document> document = json::Document::parse(*text, "its configuration");
  if (!document) return document.error();
  const json::Value config = document->root();
  const json::Value found = find_plugin(config, plugin);
  if (!found.present()) return std::optional<std::string>();
  json::Problems problems;
  if (config.member("name").text() != network)
    problems.about(config.member("name"), "is not the network's name, " + network);
  if (!problems.empty()) return invalid_input("its configuration: " + problems.text());
  if (!root.member("result").present())
    problems.missing(root, "result");
  else
    (void)json::is_object(root.member("result"), problems);
  if (!problems.empty()) return invalid_input(problems.text());
  return std::optional(build_config(config, found, root));
}

}  // namespace

Result<CacheEntry> parse_cache_entry(std::string_view text, std::string_view plugin) {
  const Result<json::Document> document = json::Document::parse(text, "the cache entry");
  if (!document) return document.error();
  const json::Value root = document->root();
  json::Problems problems;
  const json::Value kind = root.member("kind");
  if (!kind.present())
    return invalid_input(
        "kind is missing: only libcni 0.8 and later records how an attachment was made");
  if (kind.text() != kKind) {
    problems.about(kind, "is not \"cniCacheV1\"");
    return invalid_input(problems.text());
  }
  CacheEntry entry;
  entry.attachment.network = read_name(root, "networkName", is_cni_name, problems);
  entry.attachment.container_id = read_name(root, "containerId", is_cni_name, problems);
  entry.attachment.ifname = read_name(root, "ifName", is_interface_name, problems);
  if (!problems.empty()) return invalid_input(problems.text());
  Result<std::optional<std::string>> config = read_config(root, plugin, entry.attachment.network);
  if (!config) return config.error();
  entry.config = std::move(*config);
  entry.netns = root.member("netns").text();
  if (entry.netns.empty()) entry.netns = sandbox(root.member("result"), entry.attachment.ifname);
  entry.pod = pod_in(root.member("cniArgs"));
  return entry;
}

std::string cache_file_name(const Attachment& attachment) {
  return attachment.network + "-" + attachment.container_id + "-" + attachment.ifname;
}

}  // namespace portmapper::cni
