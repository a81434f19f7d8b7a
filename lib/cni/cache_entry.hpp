// CacheEntry: what libcni keeps of one attachment, and what a plugin got on stdin for it.
//
//   const Result<CacheEntry> entry = parse_cache_entry(text, "nft-port-mapper");
//   if (entry && entry->config) use(*entry->config);  // what the plugin got on stdin
//
// libcni writes the entry to <cache>/results/<network>-<container>-<interface> when all plugins of
// an ADD succeeded, and removes it after a DEL; podman, containerd and Nomad all use it. It
// holds the configuration of the network (base64 of a list, or of a single plugin's), the runtime's
// capability arguments and the final result. `config` is rebuilt as libcni's buildOneConfig does:
// the plugin's own object with the list's name and cniVersion, of the capability arguments those
// that the plugin asks for as runtimeConfig, and the result as prevResult; of several plugins of
// the name, the last, whose ADD replaced what the others did. No I/O. Errors: invalid_input that
// names the key path and value. Does not promise: that `config` is a valid configuration.
// Source: containernetworking/cni libcni/api.go, cachedInfo, cacheAdd and buildOneConfig.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lib/base/attachment.hpp"
#include "lib/base/error.hpp"

namespace portmapper::cni {

struct CacheEntry {
  Attachment attachment;
  // As in CNI_NETNS. libcni before 1.2 does not keep it: then it is the sandbox of the interface.
  std::string netns;                  // empty: nothing tells
  std::optional<std::string> config;  // nothing: no such plugin in the configuration
  Pod pod{};                          // of cniArgs, which libcni keeps where there are some
};

Result<CacheEntry> parse_cache_entry(std::string_view text, std::string_view plugin);

// "web-abc-eth0", what libcni calls the file.
std::string cache_file_name(const Attachment& attachment);

}  // namespace portmapper::cni
