#include "lib/config/excluded.hpp"

#include "lib/cni/request.hpp"

namespace portmapper::config {
namespace {

std::optional<IpPrefix> parse_either(std::string_view text) {
  if (text.find('/') != std::string_view::npos) return IpPrefix::parse(text);
  const std::optional<IpAddress> address = IpAddress::parse(text);
  if (!address) return std::nullopt;
  return IpPrefix::host(*address);
}

}  // namespace

bool is_excludable_device(std::string_view name) {
  if (!cni::is_interface_name(name) || name == "*") return false;
  const std::string_view beginning = name.ends_with('*') ? name.substr(0, name.size() - 1) : name;
  return beginning.find_first_of("\"*\\") == std::string_view::npos;
}

std::optional<IpPrefix> parse_excluded_prefix(std::string_view text, std::string_view& complaint) {
  const std::optional<IpPrefix> prefix = parse_either(text);
  if (!prefix) {
    complaint = "is not an IP address or a prefix such as 10.96.0.0/12";
    return std::nullopt;
  }
  if (prefix->length == 0) {
    complaint = "excludes every address; publish such ports with a hostIP instead";
    return std::nullopt;
  }
  // Of a packet the kernel knows only the address that it has.
  if (prefix->address.unmapped() != prefix->address) {
    complaint = "is an IPv4 address within IPv6, which no packet has; write it as IPv4";
    return std::nullopt;
  }
  return prefix->network();
}

}  // namespace portmapper::config
