#include "nft/plan.hpp"

#include <algorithm>
#include <optional>

#include "nft/egress.hpp"

namespace portmapper::nft {
namespace {

constexpr const char* name_of(Family family) {
  return family == Family::ipv4 ? "IPv4" : "IPv6";
}

std::optional<IpPrefix> first_of(const std::vector<IpPrefix>& addresses, Family family) {
  const auto found =
      std::find_if(addresses.begin(), addresses.end(),
                   [family](const IpPrefix& prefix) { return prefix.address.family() == family; });
  return found == addresses.end() ? std::nullopt : std::optional(*found);
}

void add_hairpins(Plan& plan, const IpPrefix& container, bool masq_all) {
  const Family family = container.address.family();
  const IpPrefix subnet = container.network();
  if (masq_all) {  // holds the two others
    plan.hairpins.push_back({IpPrefix::everything(family), subnet});
    return;
  }
  plan.hairpins.push_back({subnet, subnet});
  // A subnet with the loopback in it has said so, and the kernel refuses pairs that overlap.
  if (reachable_by_loopback(plan.translations, family) != nullptr &&
      !subnet.contains(IpPrefix::loopback(family)))
    plan.hairpins.push_back({IpPrefix::loopback(family), subnet});
}

void add_family(Plan& plan, const PlanInput& input, Family family) {
  const std::optional<IpPrefix> container = first_of(input.addresses, family);
  const std::size_t before = plan.translations.size();
  for (const PortMapping& mapping : input.mappings) {
    if (mapping.host_address && mapping.host_address->family() != family) continue;
    if (container) {
      plan.translations.push_back({{mapping.host_address.value_or(IpAddress::any(family)),
                                    mapping.protocol, mapping.host_port},
                                   {container->address, mapping.container_port}});
    } else if (mapping.host_address) {
      const PublishedPort port{*mapping.host_address, mapping.protocol, mapping.host_port};
      plan.notes.push_back("skipped " + to_string(port) + ": " + input.attachment.ifname +
                           " of container " + input.attachment.container_id + " has no " +
                           name_of(family) + " address");
    }
  }
  if (!container || plan.translations.size() == before) return;
  plan.subnets.push_back(container->network());
  if (input.snat) add_hairpins(plan, *container, input.masq_all);
}

bool publishes(const Plan& plan, Family family) {
  return std::any_of(plan.translations.begin(), plan.translations.end(),
                     [family](const Translation& translation) {
                       return translation.published.address.family() == family;
                     });
}

// Conditions of one family alone read as if they kept everybody else out.
void note_open_family(Plan& plan) {
  const bool restricts_ipv4 = !plan.chain.conditions_v4.empty();
  if (restricts_ipv4 == !plan.chain.conditions_v6.empty()) return;
  const Family open = restricts_ipv4 ? Family::ipv6 : Family::ipv4;
  if (!publishes(plan, Family::ipv4) || !publishes(plan, Family::ipv6)) return;
  const std::string has = restricts_ipv4 ? "conditionsV4" : "conditionsV6";
  const std::string lacks = restricts_ipv4 ? "conditionsV6" : "conditionsV4";
  plan.notes.push_back("network " + plan.attachment.network + " has " + has + " and no " + lacks +
                       ": over " + name_of(open) + " its ports are open to everybody");
}

}  // namespace

bool excludes(const NetworkChain& chain, const IpAddress& address) {
  return std::any_of(chain.exclude_addresses.begin(), chain.exclude_addresses.end(),
                     [&address](const IpPrefix& prefix) { return prefix.contains(address); });
}

Plan make_plan(PlanInput input) {
  Plan plan;
  plan.translations.reserve(input.mappings.size());
  add_family(plan, input, Family::ipv4);
  add_family(plan, input, Family::ipv6);
  if (input.egress)
    plan.egress = egress_sources(input.attachment.network, *input.egress, input.addresses);
  for (const IpPrefix& one : input.addresses) plan.addresses.push_back(one.address);
  plan.attachment = std::move(input.attachment);
  plan.netns = std::move(input.netns);
  plan.chain = std::move(input.chain);
  plan.close_connections = input.close_connections;
  plan.pod = std::move(input.pod);
  note_open_family(plan);
  return plan;
}

bool is_reachable_by_loopback(const PublishedPort& port) {
  return port.address.is_any() || port.address.is_loopback();
}

const Translation* reachable_by_loopback(std::span<const Translation> translations, Family family) {
  const auto found = std::find_if(
      translations.begin(), translations.end(), [family](const Translation& translation) {
        const PublishedPort& port = translation.published;
        return port.address.family() == family && is_reachable_by_loopback(port);
      });
  return found == translations.end() ? nullptr : &*found;
}

std::set<std::string> loopback_devices_of(std::span<const Plan* const> plans, Family family) {
  std::set<std::string> devices;
  for (const Plan* plan : plans)
    if (const std::string& device = loopback_device(*plan, family); !device.empty())
      devices.insert(device);
  return devices;
}

// The pair of 127.0.0.0/8 or ::1 is in the plan exactly when loopback must reach the container.
bool wants_loopback(const Plan& plan, Family family) {
  return reachable_by_loopback(plan.translations, family) != nullptr &&
         std::any_of(plan.hairpins.begin(), plan.hairpins.end(), [family](const Hairpin& hairpin) {
           return hairpin.source.contains(IpPrefix::loopback(family));
         });
}

// The pair of ::1 stays: it tells that ::1 is wanted, once what is in the way is gone.
void leave_loopback_out(Plan& plan, Family family, const std::string& why) {
  if (family == Family::ipv4)
    std::erase_if(plan.hairpins, [](const Hairpin& hairpin) {
      return hairpin.source == IpPrefix::loopback(Family::ipv4);
    });
  loopback_device(plan, family).clear();
  // A port on any address answers elsewhere; who wants ::1 has to be told. 127.0.0.1 is what people try.
  const bool is_expected =
      family == Family::ipv4 ||
      std::any_of(plan.translations.begin(), plan.translations.end(), [](const Translation& t) {
        return t.published.address == IpPrefix::loopback(Family::ipv6).address;
      });
  if (is_expected) plan.notes.push_back(no_answer_by_loopback(family) + ": " + why);
}

std::string no_answer_by_loopback(Family family) {
  return std::string("the ports do not answer on the host's ") +
         (family == Family::ipv4 ? "127.0.0.1" : "::1");
}

std::string to_string(const Plan& plan) {
  const Attachment& attachment = plan.attachment;
  std::string text = "attachment " + attachment.network + "/" + attachment.container_id + "/" +
                     attachment.ifname + "\nchain " + plan.chain.name + "\n";
  for (const std::string& device : plan.chain.exclude_devices) text += "exclude " + device + "\n";
  for (const IpPrefix& prefix : plan.chain.exclude_addresses)
    text += "exclude " + prefix.to_string() + "\n";
  for (const Match& match : plan.chain.conditions_v4)
    text += "condition IPv4 " + to_string(match) + "\n";
  for (const Match& match : plan.chain.conditions_v6)
    text += "condition IPv6 " + to_string(match) + "\n";
  for (const Translation& t : plan.translations)
    text += "publish " + to_string(t.published) + " to " + to_string(t.endpoint) + "\n";
  for (const Hairpin& hairpin : plan.hairpins)
    text +=
        "hairpin " + hairpin.source.to_string() + " . " + hairpin.destination.to_string() + "\n";
  for (const std::string& note : plan.notes) text += "note " + note + "\n";
  return text;
}

}  // namespace portmapper::nft
