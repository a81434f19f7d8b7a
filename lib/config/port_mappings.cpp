#include "lib/config/port_mappings.hpp"

#include <algorithm>
#include <array>
#include <compare>
#include <numeric>
#include <string>
#include <tuple>

namespace portmapper::config {
namespace {

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool equal_but_for_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}

// The members of one entry that have a meaning.
struct Fields {
  json::Value host_port;
  json::Value container_port;
  json::Value protocol;
  json::Value host_ip;
};

// False if a key is there twice, in two letter cases.
bool find_fields(const json::Value& entry, const MappingKeys& keys, Fields& fields,
                 json::Problems& problems) {
  const std::array<std::pair<std::string_view, json::Value*>, 4> wanted = {
      {{keys.host_port, &fields.host_port},
       {keys.container_port, &fields.container_port},
       {keys.protocol, &fields.protocol},
       {keys.host_ip, &fields.host_ip}}};
  bool unique = true;
  for (const json::Value member : entry)
    for (const auto& [key, value] : wanted) {
      if (key.empty() || !equal_but_for_case(member.key(), key)) continue;
      if (value->kind() != json::Kind::missing) {
        unique = false;
        if (problems.is_full())
          problems.count_only();
        else
          problems.add(entry.path() + ": " + std::string(value->key()) + " and " +
                       std::string(member.key()) + " are the same key");
      }
      *value = member;
    }
  return unique;
}

std::optional<Port> read_port(const json::Value& entry, const json::Value& value,
                              std::string_view key, json::Problems& problems) {
  if (!value.present()) {
    problems.missing(entry, key);
    return std::nullopt;
  }
  const std::optional<std::int64_t> number = json::read_integer(value, 1, 65535, problems);
  return number ? Port::from(*number) : std::nullopt;
}

std::optional<Protocol> read_protocol(const json::Value& value, json::Problems& problems) {
  if (!value.present()) return Protocol::tcp;
  const std::optional<std::string_view> text = json::read_string(value, problems);
  if (!text) return std::nullopt;
  if (text->empty()) return Protocol::tcp;
  const std::optional<Protocol> protocol = parse_protocol(*text);
  if (!protocol) problems.about(value, "is not tcp, udp or sctp");
  return protocol;
}

// Why no connection that may be translated ever has the address as its destination; empty: one may.
// What the kernel lets an interface have, 0.1.2.3 and 240.0.0.1 too, is not refused.
std::string_view host_address_complaint(const IpAddress& address) {
  const bool is_ipv4 = address.family() == Family::ipv4;
  const std::uint8_t first = address.bytes()[0];
  if (IpPrefix::link_local().contains(IpPrefix::host(address)))
    return "is refused: a link-local address means another host on each interface, so link-local "
           "traffic stays the host's; use another address, or the port on any address";
  if (is_ipv4 ? first >= 224 && first < 240 : first == 0xff)
    return "is refused: it is a multicast address, and what is sent there is not translated; use "
           "an address of one interface, or the port on any address";
  if (is_ipv4 && (address == IpAddress(Family::ipv4, {255, 255, 255, 255}) ||
                  address == IpAddress(Family::ipv4, {127, 255, 255, 255})))  // that of lo
    return "is refused: it is a broadcast address, and what is sent there is not translated; use "
           "an address of one interface, or the port on any address";
  return {};
}

// False if it is wrong; an empty one is none.
bool read_host_address(const json::Value& value, std::optional<IpAddress>& address,
                       json::Problems& problems) {
  if (!value.present()) return true;
  const std::optional<std::string_view> text = json::read_string(value, problems);
  if (!text) return false;
  if (text->empty()) return true;
  address = IpAddress::parse(*text);
  if (!address) {
    problems.about(value, "is not an IP address");
    return false;
  }
  address = address->unmapped();
  const std::string_view complaint = host_address_complaint(*address);
  if (complaint.empty()) return true;
  problems.about(value, complaint);
  return false;
}

// "runtimeConfig.portMappings[1] (any address, tcp 8080, to container port 80)"
std::string mention(const json::Value& source, const PortMapping& mapping) {
  return source.path() + " (" +
         (mapping.host_address ? mapping.host_address->to_string() : "any address") + ", " +
         std::string(to_string(mapping.protocol)) + " " +
         std::to_string(mapping.host_port.value()) + ", to container port " +
         std::to_string(mapping.container_port.value()) + ")";
}

}  // namespace

void PortMappings::read_entry(const json::Value& entry, const MappingKeys& keys) {
  if (entry.kind() != json::Kind::object) return problems_.about(entry, "is not an object");
  Fields fields;
  if (!find_fields(entry, keys, fields, problems_)) return;
  const std::optional<Port> host_port =
      read_port(entry, fields.host_port, keys.host_port, problems_);
  const std::optional<Port> container_port =
      read_port(entry, fields.container_port, keys.container_port, problems_);
  const std::optional<Protocol> protocol = read_protocol(fields.protocol, problems_);
  std::optional<IpAddress> address;
  const bool address_is_right = read_host_address(fields.host_ip, address, problems_);
  if (!host_port || !container_port || !protocol || !address_is_right) return;
  entries_.push_back({{.host_address = address,
                       .protocol = *protocol,
                       .host_port = *host_port,
                       .container_port = *container_port},
                      entry});
}

void PortMappings::read(const json::Value& list, const MappingKeys& keys) {
  if (!json::is_array(list, problems_)) return;
  for (const json::Value entry : list) read_entry(entry, keys);
}

// `a` and `b` publish a port that is the same, or the same in one family.
void PortMappings::compare(std::size_t a, std::size_t b) {
  Entry& earlier = entries_[std::min(a, b)];
  Entry& later = entries_[std::max(a, b)];
  if (earlier.mapping.container_port != later.mapping.container_port)
    conflicts_.emplace_back(std::max(a, b), std::min(a, b));
  // Any address of both families says all that any address of one says.
  const bool is_covered_by_later = earlier.mapping.host_address && !later.mapping.host_address;
  (is_covered_by_later ? earlier : later).is_kept = false;
}

void PortMappings::find_overlaps() {
  std::vector<std::size_t> order(entries_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto key = [&](std::size_t i) {
    const PortMapping& mapping = entries_[i].mapping;
    return std::tie(mapping.protocol, mapping.host_port, mapping.host_address);
  };
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const auto order_of_keys = key(a) <=> key(b);
    return std::is_eq(order_of_keys) ? a < b : std::is_lt(order_of_keys);
  });
  // Within one protocol and port, no address sorts before every address.
  std::size_t first = kNone;  // of one published port
  std::size_t any = kNone;    // the entry for any address of both families
  for (const std::size_t at : order) {
    const PortMapping& mapping = entries_[at].mapping;
    if (first != kNone && key(first) == key(at)) {
      compare(first, at);
      continue;
    }
    first = at;
    if (any != kNone && (entries_[any].mapping.protocol != mapping.protocol ||
                         entries_[any].mapping.host_port != mapping.host_port))
      any = kNone;
    if (!mapping.host_address)
      any = at;
    else if (any != kNone && mapping.host_address->is_any())
      compare(any, at);
  }
}

// In the order of the document, not in that of the ports.
void PortMappings::note_conflicts() {
  std::sort(conflicts_.begin(), conflicts_.end());
  for (const auto& [later, earlier] : conflicts_) {
    if (problems_.is_full())
      problems_.count_only();
    else
      problems_.add(mention(entries_[later].source, entries_[later].mapping) + " contradicts " +
                    mention(entries_[earlier].source, entries_[earlier].mapping));
  }
}

std::vector<PortMapping> PortMappings::take() && {
  find_overlaps();
  note_conflicts();
  std::vector<PortMapping> mappings;
  mappings.reserve(entries_.size());
  for (const Entry& entry : entries_)
    if (entry.is_kept) mappings.push_back(entry.mapping);
  return mappings;
}

}  // namespace portmapper::config
