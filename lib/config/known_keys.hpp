// Known keys: what the objects of a configuration may hold, and which key another one was meant to be.
//
//   is_known_key(KeyPlace::plugin, "chain");         // true
//   meant_key(KeyPlace::plugin, "excludedDevices");  // "excludeDevices"
//   notes_on_keys(root, notes);  // "excludedDevices is not a key of nft-port-mapper and has ..."
//
// A key is like a known one if both are the same but for letter case, '_', '-' and a plural, or, if they
// have four letters or more, but for one or two letters that were added, left out, changed or exchanged
// (lib/base/nearest). Unknown keys are no errors: what libcni adds, and what people write to remember
// something, stays possible. Time: a known key of a plugin costs one or two comparisons. Errors: none.
// Does not promise: that the key was meant.
// Source: packaging/doc/configuration.md; CNI SPEC.md section 1, CONVENTIONS.md; portmap's README.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/json/document.hpp"

namespace portmapper::config {

enum class KeyPlace : std::uint8_t {
  plugin,          // the configuration of one plugin: ours
  list,            // what holds `plugins`
  runtime_config,  // and `capabilities`: portMappings is the only one of ours
  mapping,         // an entry of runtimeConfig.portMappings, whose letter case does not matter
  mesos_mapping,   // an entry of port_mappings, likewise
};

// Keys of libcni and of plugins that share a configuration are known too, whether ours reads them or not.
bool is_known_key(KeyPlace place, std::string_view key);

// The key of ours that an unknown one is like; empty: none.
std::string_view meant_key(KeyPlace place, std::string_view key);

// Whether a word is like another one, and not the same.
bool is_near(std::string_view word, std::string_view other);

// "PATH is not a key of nft-port-mapper and has no effect; PATH was probably meant", for each key of a
// plugin's configuration, of its runtimeConfig and its capabilities that is like one of ours. The first
// twenty.
void notes_on_keys(const json::Value& root, std::vector<std::string>& notes);

}  // namespace portmapper::config
