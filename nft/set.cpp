#include "nft/set.hpp"

namespace portmapper::nft {
namespace {

using enum FieldType;

constexpr std::array kService = {inet_proto, inet_service};
constexpr std::array kService4 = {ipv4_addr, inet_proto, inet_service};
constexpr std::array kService6 = {ipv6_addr, inet_proto, inet_service};
constexpr std::array kEndpoint4 = {ipv4_addr, inet_service};
constexpr std::array kEndpoint6 = {ipv6_addr, inet_service};
constexpr std::array kOwnerName = {ifname, mark};
constexpr std::array kDevice = {ifname};
constexpr std::array kPair4 = {ipv4_addr, ipv4_addr};
constexpr std::array kPair6 = {ipv6_addr, ipv6_addr};

std::span<const FieldType> claim_fields(Suffix suffix) {
  if (suffix.scope == AddressScope::any) return kService;
  return suffix.family == Family::ipv4 ? std::span<const FieldType>(kService4) : kService6;
}

std::string join(std::span<const FieldType> types) {
  std::string text;
  for (const FieldType type : types) {
    if (!text.empty()) text += " . ";
    text += field(type).name;
  }
  return text;
}

}  // namespace

// set published-ip { type inet_proto . inet_service; }
SetSpec claim_spec(Suffix suffix) {
  return {.name = claim_set(suffix), .key = claim_fields(suffix)};
}

// map MESOS-WEB-ip { type inet_proto . inet_service : ipv4_addr . inet_service; counter; }
SetSpec target_spec(std::string_view chain, Suffix suffix) {
  return {
      .name = target_map(chain, suffix),
      .key = claim_fields(suffix),
      .data = suffix.family == Family::ipv4 ? std::span<const FieldType>(kEndpoint4) : kEndpoint6,
      .counter = true};
}

// map owners { type ifname . mark : ipv6_addr . inet_proto . inet_service; }
SetSpec owners_spec() {
  return {.name = kOwners, .key = kOwnerName, .data = kService6};
}

// map standby { type ifname . mark : ipv6_addr . inet_service; }
SetSpec standby_spec() {
  return {.name = kStandby, .key = kOwnerName, .data = kEndpoint6};
}

// set loopback-ip { type inet_proto . inet_service; }
SetSpec loopback_spec(Family family) {
  return {.name = loopback_set(family), .key = kService};
}

// set localnet-devices { type ifname; }
// set loopback-routes { type ifname; }
SetSpec opened_devices_spec(Family family) {
  return {.name = family == Family::ipv4 ? kLocalnetDevices : kLoopbackRoutes, .key = kDevice};
}

// map localnet-users { type ifname : ifname; }
// map loopback-users { type ifname : ifname; }
SetSpec device_users_spec(Family family) {
  return {.name = family == Family::ipv4 ? kLocalnetUsers : kLoopbackUsers,
          .key = kDevice,
          .data = kDevice};
}

// set hairpin-ip { type ipv4_addr . ipv4_addr; flags interval; }
SetSpec hairpin_spec(Family family) {
  return {.name = hairpin_set(family),
          .key = family == Family::ipv4 ? std::span<const FieldType>(kPair4) : kPair6,
          .interval = true};
}

std::vector<SetSpec> skeleton_sets() {
  std::vector<SetSpec> sets;
  sets.reserve(kSuffixes.size() + 10);
  for (const Suffix suffix : kSuffixes) sets.push_back(claim_spec(suffix));
  sets.push_back(owners_spec());
  sets.push_back(standby_spec());
  sets.push_back(loopback_spec(Family::ipv4));
  sets.push_back(loopback_spec(Family::ipv6));
  sets.push_back(hairpin_spec(Family::ipv4));
  sets.push_back(hairpin_spec(Family::ipv6));
  for (const Family family : kFamilies) {
    sets.push_back(opened_devices_spec(family));
    sets.push_back(device_users_spec(family));
  }
  return sets;
}

std::vector<SetSpec> network_sets(std::string_view chain) {
  std::vector<SetSpec> sets;
  sets.reserve(kSuffixes.size());
  for (const Suffix suffix : kSuffixes) sets.push_back(target_spec(chain, suffix));
  return sets;
}

std::uint32_t concatenated_type(std::span<const FieldType> types) {
  std::uint32_t id = 0;
  for (const FieldType type : types) id = id << 6 | field(type).type_id;
  return id;
}

std::string to_string(const SetSpec& set) {
  std::string text = "type " + join(set.key);
  if (!set.data.empty()) text += " : " + join(set.data);
  if (set.verdicts) text += " : verdict";
  if (set.interval) text += "; flags interval";
  if (set.counter) text += "; counter";
  return text;
}

}  // namespace portmapper::nft
