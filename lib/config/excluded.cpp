#include "lib/config/excluded.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "lib/cni/request.hpp"

namespace portmapper::config {
namespace {

std::optional<IpPrefix> parse_either(std::string_view text) {
  if (text.find('/') != std::string_view::npos) return IpPrefix::parse(text);
  const std::optional<IpAddress> address = IpAddress::parse(text);
  if (!address) return std::nullopt;
  return IpPrefix::host(*address);
}

// The two halves of a prefix.
std::pair<IpPrefix, IpPrefix> halves_of(const IpPrefix& whole) {
  const auto length = static_cast<std::uint8_t>(whole.length + 1);
  return {{whole.address, length}, IpPrefix{whole.last(), length}.network()};
}

bool cover(const std::vector<IpPrefix>& prefixes, const IpPrefix& whole) {
  const auto holds_all = [&whole](const IpPrefix& one) { return one.contains(whole); };
  if (std::any_of(prefixes.begin(), prefixes.end(), holds_all)) return true;
  const auto is_part = [&whole](const IpPrefix& one) { return whole.contains(one); };
  if (std::none_of(prefixes.begin(), prefixes.end(), is_part)) return false;
  const auto [first, second] = halves_of(whole);
  return cover(prefixes, first) && cover(prefixes, second);
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
  if (prefix->length == 0) return std::nullopt;
  // Of a packet the kernel knows only the address that it has.
  if (prefix->address.unmapped() != prefix->address) {
    complaint = "is an IPv4 address within IPv6, which no packet has; write it as IPv4";
    return std::nullopt;
  }
  return prefix->network();
}

bool are_everything(const std::vector<IpPrefix>& prefixes, Family family) {
  return cover(prefixes, IpPrefix::everything(family));
}

bool can_be_answered(const IpAddress& source) {
  constexpr std::array kNever = {"0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::/128",
                                 "::1/128",   "fe80::/10",   "ff00::/8"};
  return source.unmapped() == source &&
         std::none_of(kNever.begin(), kNever.end(), [&source](const char* prefix) {
           return IpPrefix::parse(prefix)->contains(source);
         });
}

}  // namespace portmapper::config
