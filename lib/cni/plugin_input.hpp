// Plugin input: what a plugin of a network's configuration gets on stdin, as libcni makes it.
//
//   const json::Value plugin = find_plugin(root, kOurType);  // in a list, or root itself
//   const std::string input = plugin_input(root, plugin, root.member("capabilityArgs"), text);
//
// It is the plugin's own object with the name and cniVersion of the whole, of the capability arguments
// those that the plugin asks for as runtimeConfig, and prevResult. A list has `plugins`; a single
// configuration is its plugin's own. Errors: none; what is missing is left out. Does not promise: that
// the plugin takes it. Source: containernetworking/cni libcni/api.go, buildOneConfig.
#pragma once

#include <string>
#include <string_view>

#include "lib/json/document.hpp"

namespace portmapper::cni {

// By which configurations name the plugin: its file in CNI_PATH.
inline constexpr std::string_view kOurType = "nft-port-mapper";
// The CNI project's plugin, in whose place ours may stand, by its name too.
inline constexpr std::string_view kPortmapType = "portmap";

bool is_list(const json::Value& config);

// Of several plugins of that type the last, whose ADD replaces what the others did; missing: there is none.
json::Value find_plugin(const json::Value& config, std::string_view type);

// Whether the plugin asks the runtime for the arguments of that capability.
bool has_capability(const json::Value& plugin, std::string_view capability);

// `arguments` is an object, or missing; `prev_result` is JSON, or empty for none. Of portmap's object
// `backend` is left out: it says how its rules were written, which ours are not.
std::string plugin_input(const json::Value& config, const json::Value& plugin,
                         const json::Value& arguments, std::string_view prev_result);

}  // namespace portmapper::cni
