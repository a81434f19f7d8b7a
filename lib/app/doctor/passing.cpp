#include "lib/app/doctor/passing.hpp"

#include <linux/netfilter.h>

#include <algorithm>

#include "lib/app/doctor/packets.hpp"
#include "nft/netlink_message.hpp"
#include "nft/ruleset.hpp"

namespace portmapper::doctor {
namespace {

using nft::foreign::Chain;
using nft::foreign::PacketField;

constexpr std::int32_t kDestinationNat = -100;  // where the kernel runs NAT chains
constexpr std::int32_t kSourceNat = 100;

bool is_at_devices(const Chain& base) {
  return base.table.family == NFPROTO_NETDEV ||
         (base.table.family == NFPROTO_INET && base.hook->number == NF_INET_INGRESS);
}

bool is_of_bridge(const Chain& base) {
  return base.table.family == NFPROTO_BRIDGE;
}

bool sees_family(const Chain& base, Family family) {
  return is_at_devices(base) || is_of_bridge(base) || base.table.family == NFPROTO_INET ||
         base.table.family == nft::protocol_family(family);
}

const std::vector<std::string>& ports_of(const Host& host, const std::string& device) {
  static const std::vector<std::string> none;
  const auto found = host.ports_of.find(device);
  return found == host.ports_of.end() ? none : found->second;
}

// How many of the packets that pass `device` a chain on some devices sees.
enum class Share : std::uint8_t { none, some, all };

Share share_of(const Host& host, const std::vector<std::string>& hooked,
               const std::string& device) {
  const auto is_hooked = [&hooked](const std::string& name) {
    return std::find(hooked.begin(), hooked.end(), name) != hooked.end();
  };
  if (is_hooked(device)) return Share::all;
  const std::vector<std::string>& ports = ports_of(host, device);
  const auto count = std::count_if(ports.begin(), ports.end(), is_hooked);
  if (count == 0) return Share::none;
  return static_cast<std::size_t>(count) == ports.size() ? Share::all : Share::some;
}

Share share_of(const Host& host, const std::vector<std::string>& hooked,
               const std::vector<host::Device>& devices) {
  bool is_some = false;
  bool is_all = !devices.empty();
  for (const host::Device& device : devices) {
    const Share share = share_of(host, hooked, device.name);
    is_some = is_some || share != Share::none;
    is_all = is_all && share == Share::all;
  }
  if (is_all) return Share::all;
  return is_some ? Share::some : Share::none;
}

class Passage {
 public:
  Passage(const Host& host, const Chain& base, const RoutedPort& port,
          std::vector<host::Device> devices)
      : host_(host), base_(base), port_(port), devices_(std::move(devices)) {}

  std::vector<Passing> run() {
    if (is_at_devices(base_))
      pass_devices();
    else if (is_of_bridge(base_) && base_.hook->number == NF_INET_FORWARD)
      pass_between_ports();
    else if (is_of_bridge(base_))
      pass_bridge();
    else if (base_.hook->number == NF_INET_PRE_ROUTING)
      pass_prerouting();
    else if (base_.hook->number == NF_INET_FORWARD)
      pass_forward();
    else
      pass_postrouting();
    return std::move(passings_);
  }

 private:
  void add(const Point& point, bool is_partial = false) {
    passings_.push_back({packet_at(host_, port_, point, devices_), point.is_answer, is_partial});
  }
  [[nodiscard]] std::vector<host::Device> near() const { return {port_.device}; }

  void pass_devices() {
    const bool is_ingress = stretch_of(base_) == Stretch::before;
    const Share request = share_of(host_, base_.hook->devices, is_ingress ? devices_ : near());
    const Share answer = share_of(host_, base_.hook->devices, is_ingress ? near() : devices_);
    Point point{.is_translated = !is_ingress,
                .tracking = is_ingress ? Point::Tracking::unknown : Point::Tracking::done,
                .has_input = is_ingress,
                .has_output = !is_ingress};
    const PacketField field = is_ingress ? PacketField::iifname : PacketField::oifname;
    for (const bool is_answer : {false, true}) {
      const Share share = is_answer ? answer : request;
      if (share == Share::none) continue;
      point.is_answer = is_answer;
      add(point, share == Share::some);
      set_device_names(passings_.back().packet, field, base_.hook->devices);
    }
  }

  // A frame goes up to the host by prerouting and input, and down from it by output and postrouting.
  void pass_bridge() {
    const bool goes_up = stretch_of(base_) == Stretch::before;
    const Point request{.is_translated = !goes_up,
                        .tracking = goes_up ? Point::Tracking::unknown : Point::Tracking::done,
                        .has_input = goes_up,
                        .has_output = !goes_up};
    Point answer = request;
    answer.is_answer = true;
    add_bridged(request, goes_up ? devices_ : near(), goes_up);
    add_bridged(answer, goes_up ? near() : devices_, goes_up);
  }
  void add_bridged(const Point& point, const std::vector<host::Device>& devices, bool goes_up) {
    std::vector<std::string> bridges;
    std::vector<std::string> ports;
    for (const host::Device& device : devices) {
      const std::vector<std::string>& own = ports_of(host_, device.name);
      if (own.empty()) continue;
      bridges.push_back(device.name);
      ports.insert(ports.end(), own.begin(), own.end());
    }
    if (bridges.empty()) return;
    add(point, bridges.size() < devices.size());
    nft::foreign::Packet& packet = passings_.back().packet;
    set_device_names(packet, goes_up ? PacketField::ibrname : PacketField::obrname, bridges);
    const PacketField field = goes_up ? PacketField::iifname : PacketField::oifname;
    packet.forget(field);
    set_device_names(packet, field, ports.size() == 1 ? ports : std::vector<std::string>{});
  }

  // With br_netfilter, what a container sends to the port of another on its bridge is translated there,
  // and the bridge forwards it by itself.
  void pass_between_ports() {
    const auto& calls =
        port_.endpoint.address.family() == Family::ipv4 ? host_.bridge_calls : host_.bridge_calls6;
    if (calls.value_or(0) != 1 || ports_of(host_, port_.device.name).size() < 2) return;
    for (const bool is_answer : {false, true}) {
      add({.is_answer = is_answer, .is_translated = !is_answer, .has_output = true},
          /*is_partial=*/true);
      nft::foreign::Packet& packet = passings_.back().packet;
      for (const PacketField field : {PacketField::ibrname, PacketField::obrname})
        set_device_names(packet, field, {port_.device.name});
      for (const PacketField field :
           {PacketField::iifname, PacketField::oifname, PacketField::iif, PacketField::oif})
        packet.forget(field);
    }
  }

  void pass_prerouting() {
    const std::int32_t priority = base_.hook->priority;
    const bool is_nat = base_.hook->type == "nat";
    if (is_nat && priority > nft::kTranslationPriority) return;  // ours has decided
    Point::Tracking tracking = Point::Tracking::done;
    if (!is_nat && priority < kConntrackPriority) tracking = Point::Tracking::none;
    if (!is_nat && priority == kConntrackPriority) tracking = Point::Tracking::unknown;
    const bool may_be_either = !is_nat && priority == kDestinationNat;
    if (is_nat || priority <= kDestinationNat) add({.tracking = tracking}, may_be_either);
    if (!is_nat && priority >= kDestinationNat)
      add({.is_translated = true, .tracking = tracking}, may_be_either);
    // NAT chains see the first packet of a connection alone.
    if (!is_nat) add({.is_answer = true, .tracking = tracking});
  }

  void pass_forward() {
    add({.is_translated = true, .has_output = true});
    add({.is_answer = true, .has_output = true});
  }

  void pass_postrouting() {
    const std::int32_t priority = base_.hook->priority;
    add({.is_translated = true, .has_output = true});
    if (base_.hook->type == "nat") return;
    const bool may_be_either = priority == kSourceNat;
    if (priority <= kSourceNat) add({.is_answer = true, .has_output = true}, may_be_either);
    if (priority >= kSourceNat)
      add({.is_answer = true, .is_translated = true, .has_output = true}, may_be_either);
  }

  const Host& host_;
  const Chain& base_;
  const RoutedPort& port_;
  std::vector<host::Device> devices_;
  std::vector<Passing> passings_;
};

}  // namespace

std::optional<Stretch> stretch_of(const nft::foreign::Chain& base) {
  if (!base.hook || base.table.family == NFPROTO_ARP) return std::nullopt;
  const std::uint32_t number = base.hook->number;
  if (base.table.family == NFPROTO_NETDEV)
    return number == NF_NETDEV_INGRESS ? Stretch::before : Stretch::behind;
  if (is_at_devices(base)) return Stretch::before;
  switch (number) {
    case NF_INET_PRE_ROUTING:
      return Stretch::before;
    case NF_INET_FORWARD:
      return Stretch::middle;
    case NF_INET_POST_ROUTING:
      return Stretch::behind;
    case NF_INET_LOCAL_IN:
      if (is_of_bridge(base)) return Stretch::before;
      return std::nullopt;
    case NF_INET_LOCAL_OUT:
      if (is_of_bridge(base)) return Stretch::behind;
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

std::vector<host::Device> client_devices(const Host& host, const RoutedPort& port,
                                         Clients clients) {
  std::vector<host::Device> all;
  std::vector<host::Device> main;
  const std::vector<std::string>& defaults = port.published.address.family() == Family::ipv4
                                                 ? host.default_devices
                                                 : host.default_devices6;
  for (const host::Device& device : host.devices) {
    if (host.client && device.name == host.client->device) return {device};
    if (device.name == port.device.name) continue;
    all.push_back(device);
    if (std::find(defaults.begin(), defaults.end(), device.name) != defaults.end())
      main.push_back(device);
  }
  return clients == Clients::all || main.empty() ? all : main;
}

std::vector<Passing> passings(const Host& host, const nft::foreign::Chain& base,
                              const RoutedPort& port, Clients clients) {
  return passings(host, base, port, client_devices(host, port, clients));
}

std::vector<Passing> passings(const Host& host, const nft::foreign::Chain& base,
                              const RoutedPort& port, std::vector<host::Device> devices) {
  const IpAddress& address = port.published.address;
  const bool is_for_others = address.is_any() || !address.is_loopback();
  if (!stretch_of(base) || !is_for_others || !sees_family(base, address.family())) return {};
  return Passage(host, base, port, std::move(devices)).run();
}

}  // namespace portmapper::doctor
