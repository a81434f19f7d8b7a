#include "lib/cni/cache_entry.hpp"

#include "lib/base/base64.hpp"
#include "lib/cni/plugin_input.hpp"
#include "lib/cni/pod_arguments.hpp"
#include "lib/cni/request.hpp"
#include "lib/json/document.hpp"
#include "lib/json/read.hpp"

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
      if (part.kind() != json::Kind::string) break;
      if (!key.empty()) note_argument(pod, key, part.text());
      key = part.text();
    }
  }
  return pod;
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
  return std::optional(
      plugin_input(config, found, root.member("capabilityArgs"), root.member("result").raw()));
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
