#include "lib/cni/result.hpp"

#include <algorithm>
#include <optional>
#include <string>

#include "lib/json/read.hpp"

namespace portmapper::cni {
namespace {

class Addresses {
 public:
  explicit Addresses(std::string_view ifname) : ifname_(ifname) {}

  void read(const json::Value& result) {
    read_old(result.member("ip4"), Family::ipv4);
    read_old(result.member("ip6"), Family::ipv6);
    const json::Value ips = result.member("ips");
    if (!json::is_array(ips, problems)) return;
    read_interfaces(result.member("interfaces"));
    for (const json::Value ip : ips) {
      if (ip.kind() != json::Kind::object)
        problems.about(ip, "is not an object");
      else if (counts(ip.member("interface")))
        add(ip, "address", std::nullopt);
    }
  }

  json::Problems problems;
  std::vector<IpPrefix> found;

 private:
  // 0.1.0 and 0.2.0: {"ip4": {"ip": "10.22.0.2/16"}}
  void read_old(const json::Value& ip, Family family) {
    if (json::is_object(ip, problems)) add(ip, "ip", family);
  }

  void read_interfaces(const json::Value& interfaces) {
    if (!json::is_array(interfaces, problems)) return;
    for (const json::Value interface : interfaces)
      is_ours_.push_back(interface.member("name").text() == ifname_ &&
                         !interface.member("sandbox").text().empty());
  }

  // Whether an address with this index into interfaces is the container's. Without an index, or
  // with the -1 of early 0.3.0 plugins, an address belongs to the attachment as a whole.
  bool counts(const json::Value& index) {
    if (!index.present() || is_ours_.empty()) return true;
    if (index.text() == "-1") return true;
    const auto last = static_cast<std::int64_t>(is_ours_.size()) - 1;
    const std::optional<std::int64_t> number = json::read_integer(index, 0, last, problems);
    return number && is_ours_[static_cast<std::size_t>(*number)];
  }

  void add(const json::Value& ip, std::string_view key, std::optional<Family> family) {
    const json::Value value = ip.member(key);
    if (!value.present()) return problems.missing(ip, key);
    const std::optional<std::string_view> text = json::read_string(value, problems);
    if (!text) return;
    const std::optional<IpPrefix> prefix = IpPrefix::parse(*text);
    if (!prefix || (family && prefix->address.family() != *family))
      return problems.about(
          value, family == Family::ipv6 ? "is not an IPv6 address with prefix length, as fd00::2/64"
                 : family == Family::ipv4
                     ? "is not an IPv4 address with prefix length, as 10.22.0.2/16"
                     : "is not an address with prefix length, as 10.22.0.2/16");
    if (std::find(found.begin(), found.end(), *prefix) == found.end()) found.push_back(*prefix);
  }

  std::string_view ifname_;
  std::vector<bool> is_ours_;
};

}  // namespace

Result<std::vector<IpPrefix>> container_addresses(std::string_view result_json,
                                                  std::string_view ifname, std::string_view what) {
  const Result<json::Document> document = json::Document::parse(result_json, what);
  if (!document) return document.error();
  Addresses addresses(ifname);
  addresses.read(document->root());
  if (addresses.problems.empty()) return std::move(addresses.found);
  return invalid_input(std::string(what) + ": " + addresses.problems.text());
}

}  // namespace portmapper::cni
