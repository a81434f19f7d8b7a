// SetSpec: the type of each of our sets and maps.
//
//   for (const SetSpec& set : skeleton_sets()) use(set.name);  // claims, owners, standby, hairpins
//   network_sets("MESOS-WEB");                                 // its four target maps
//   claim_spec({Family::ipv4, AddressScope::any}).key;         // inet_proto . inet_service
//
// Flat tables; the fields are static, so a SetSpec may be copied freely. Errors: none. Source:
// tests/golden/ruleset.nft.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "nft/key.hpp"

namespace portmapper::nft {

struct SetSpec {
  std::string name;
  std::span<const FieldType> key;
  std::span<const FieldType> data = {};  // empty: a set, not a map
  bool interval = false;
  bool counter = false;
  bool verdicts = false;  // a map from key to verdict

  [[nodiscard]] bool is_map() const { return verdicts || !data.empty(); }
};

SetSpec claim_spec(Suffix suffix);
SetSpec target_spec(std::string_view chain, Suffix suffix);
SetSpec owners_spec();
SetSpec standby_spec();
SetSpec loopback_spec(Family family);
SetSpec hairpin_spec(Family family);
// The devices that we opened for 127.0.0.0/8 or ::1, and which attachment needs which.
SetSpec opened_devices_spec(Family family);
SetSpec device_users_spec(Family family);

std::vector<SetSpec> skeleton_sets();
std::vector<SetSpec> network_sets(std::string_view chain);

// nft's number for a concatenation of types: six bits for each; 0 for none.
std::uint32_t concatenated_type(std::span<const FieldType> types);

// "type inet_proto . inet_service : ipv4_addr . inet_service", with flags and counter where it has
// them.
std::string to_string(const SetSpec& set);

}  // namespace portmapper::nft
