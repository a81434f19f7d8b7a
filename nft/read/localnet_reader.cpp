#include <algorithm>
#include <map>

#include "nft/key.hpp"
#include "nft/read/element_view.hpp"
#include "nft/read/query.hpp"
#include "nft/read/reader.hpp"
#include "nft/read/set_dump.hpp"

namespace portmapper::nft {

Result<Shared> read_shared(Transport& transport, const Plan& plan) {
  // What holds the pair of a source and the first address of a subnet: the subnet's own pair, that of
  // 127.0.0.0/8, that of everything.
  std::vector<IpPrefix> subnets;
  Query query;
  for (const IpPrefix& subnet : plan.subnets) {
    const Family family = subnet.address.family();
    const IpPrefix outside = IpPrefix::host(IpPrefix::everything(family).last());
    for (const IpPrefix& source :
         {IpPrefix::host(subnet.address), IpPrefix::loopback(family), outside}) {
      const Element element{hairpin_key(source, subnet)};
      query.elements(hairpin_set(family), {&element, 1});
      subnets.push_back(subnet);
    }
  }
  const Element device{device_key(plan.localnet_device)};
  if (!plan.localnet_device.empty()) query.elements(kLocalnetDevices, {&device, 1});
  Shared shared;
  const Status status = query.run(transport, [&](const nlmsghdr& reply) {
    const std::size_t number = reply.nlmsg_seq - std::size_t{1};
    for_each_element(reply, [&](const ElementView& element) {
      if (number >= subnets.size()) {
        shared.device_is_recorded = true;
        return;
      }
      const auto pair =
          parse_hairpin_key(element.key, element.key_end, subnets[number].address.family());
      if (!pair || pair->second != subnets[number]) return;
      const Hairpin hairpin{pair->first, pair->second};
      if (std::find(shared.hairpins.begin(), shared.hairpins.end(), hairpin) ==
          shared.hairpins.end())
        shared.hairpins.push_back(hairpin);
    });
  });
  if (!status) return status.error();
  return shared;
}

namespace {

// Whether another attachment needs the device of `installed`.
Result<bool> is_shared(Transport& transport, const InstalledPorts& installed, Family family) {
  bool found = false;
  // Where many need it, the beginning tells.
  const Status status = peek_elements(
      transport, device_users_spec(family).name,
      [&](const ElementView& element) {
        found = found || (parse_device(element.data) == loopback_device(installed, family) &&
                          parse_device(element.key) != to_string(installed.owner));
      },
      [&found] { return found; });
  if (!status) return status.error();
  return found;
}

}  // namespace

Result<DeviceUse> read_device_use(Transport& transport, const InstalledPorts& installed) {
  std::vector<Family> alone;  // the families whose device nobody else needs
  Query records;
  for (const Family family : kFamilies) {
    if (loopback_device(installed, family).empty()) continue;
    const Result<bool> shared = is_shared(transport, installed, family);
    if (!shared) return shared.error();
    if (*shared) continue;
    const Element device{device_key(loopback_device(installed, family))};
    records.elements(opened_devices_spec(family).name, {&device, 1});
    alone.push_back(family);
  }
  DeviceUse use;
  if (alone.empty()) return use;
  const Status read = records.run(transport, [&](const nlmsghdr& reply) {
    const bool is_localnet = alone.at(reply.nlmsg_seq - std::size_t{1}) == Family::ipv4;
    for_each_element(reply, [&](const ElementView&) {
      (is_localnet ? use.ends_localnet : use.ends_route) = true;
    });
  });
  if (!read) return read.error();
  return use;
}

Result<std::string> read_loopback6_device(Transport& transport, const OwnerHash& owner) {
  std::string device;
  const Element user{device_user_key(owner)};
  Query query;
  query.elements(kLoopbackUsers, {&user, 1});
  const Status status = query.run(transport, [&device](const nlmsghdr& reply) {
    for_each_element(
        reply, [&device](const ElementView& element) { device = parse_device(element.data); });
  });
  if (!status) return status.error();
  return device;
}

Result<std::vector<std::string>> read_opened_devices(Transport& transport, Family family) {
  std::vector<std::string> devices;
  const Status status = dump_elements(
      transport, opened_devices_spec(family).name,
      [&devices](const ElementView& element) { devices.push_back(parse_device(element.key)); });
  if (!status) return status.error();
  return devices;
}

Result<std::map<OwnerHash, std::string>> read_device_users(Transport& transport, Family family) {
  std::map<OwnerHash, std::string> users;
  const Status status = dump_elements(
      transport, device_users_spec(family).name, [&users](const ElementView& element) {
        OwnerHash owner{};
        if (element.key.size() < owner.size()) return;
        std::copy_n(element.key.begin(), owner.size(), owner.begin());
        users.emplace(owner, parse_device(element.data));
      });
  if (!status) return status.error();
  return users;
}

Result<std::vector<ClaimEntry>> read_unlisted_loopback(Transport& transport) {
  bool is_listed = false;
  Query query;
  query.set(loopback_set(Family::ipv4));
  const Status status = query.run(transport, [&is_listed](const nlmsghdr&) { is_listed = true; });
  if (!status) return status.error();
  std::vector<ClaimEntry> claims;
  if (is_listed) return claims;
  for (const AddressScope scope : {AddressScope::any, AddressScope::one}) {
    const auto some = read_claim_set(transport, {Family::ipv4, scope});
    if (!some) return some.error();
    claims.insert(claims.end(), some->begin(), some->end());
  }
  return claims;
}

}  // namespace portmapper::nft
