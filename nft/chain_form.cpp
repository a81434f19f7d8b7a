// Which rules a chain of ours may have, by what they do.

#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <charconv>
#include <span>

#include "nft/registers.hpp"
#include "nft/rule_form.hpp"

namespace portmapper::nft {
namespace {

using Steps = std::span<const std::string>;

// iifname "mesos-cni0", iifname { "veth*", "docker0" }
bool are_of_device(Steps tests) {
  const std::string device = "meta:" + std::to_string(NFT_META_IIFNAME) + "+";
  return std::all_of(tests.begin(), tests.end(), [&device](const std::string& test) {
    return test.starts_with(device) || (test.starts_with("in {") && test.ends_with("]") &&
                                        test.find(" } [" + device) != std::string::npos);
  });
}

template <typename Number>
Number number_of(std::string_view digits, int base) {
  Number number = 0;
  (void)std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
  return number;
}

// Judges the tests of one packet's destination, ip daddr { 10.96.0.0/12, 192.0.2.7 } for instance.
class Destination {
 public:
  explicit Destination(const IpAddress& address)
      : bytes_(address.bytes()),
        value_(hex({bytes_.data(), address.length()})),
        first_(address.family() == Family::ipv4 ? 16 : 24),  // of the header's bytes
        says_family_("meta:" + std::to_string(NFT_META_NFPROTO) +
                     (address.family() == Family::ipv4 ? "+0 == 02" : "+0 == 0a")),
        key_("[nh+" + std::to_string(first_) + ":" + std::to_string(address.length()) + "]") {}

  // Nothing: it tests something else.
  [[nodiscard]] std::optional<bool> passes(std::string_view test) const {
    if (test == says_family_) return true;
    if (test.starts_with("in { ") && test.ends_with(" } " + key_))
      return is_in(test.substr(5, test.size() - 5 - 3 - key_.size()));
    if (test.starts_with(key_ + " >= ")) return value_ >= test.substr(key_.size() + 4);
    if (test.starts_with(key_ + " <= ")) return value_ <= test.substr(key_.size() + 4);
    return has_byte(test);
  }

 private:
  // "0a600000 0a700000!": in order, an interval's end with "!".
  [[nodiscard]] bool is_in(std::string_view elements) const {
    const bool are_intervals = elements.find('!') != std::string_view::npos;
    bool is_inside = false;
    while (!elements.empty()) {
      const std::string_view element = elements.substr(0, elements.find(' '));
      elements.remove_prefix(std::min(elements.size(), element.size() + 1));
      const std::string_view key = element.substr(0, value_.size());
      if (!are_intervals && key == value_) return true;
      if (are_intervals && key <= value_) is_inside = !element.ends_with('!');
    }
    return is_inside;
  }

  // "nh+16 == 0a", "nh+17&f0 == 60"
  [[nodiscard]] std::optional<bool> has_byte(std::string_view test) const {
    const std::size_t equals = test.find(" == ");
    if (!test.starts_with("nh+") || equals == std::string_view::npos) return std::nullopt;
    const std::string_view place = test.substr(3, equals - 3);
    const std::size_t mask_at = place.find('&');
    const auto offset = number_of<std::size_t>(place.substr(0, mask_at), 10);
    if (offset < first_ || offset >= first_ + value_.size() / 2) return std::nullopt;
    const auto mask = mask_at == std::string_view::npos
                          ? std::uint8_t{0xff}
                          : number_of<std::uint8_t>(place.substr(mask_at + 1), 16);
    const auto wanted = number_of<std::uint8_t>(test.substr(equals + 4), 16);
    return (bytes_[offset - first_] & mask) == wanted;
  }

  IpAddress::Octets bytes_;
  std::string value_;
  std::size_t first_;
  std::string says_family_;
  std::string key_;
};

// Nothing: they test something else.
std::optional<bool> pass(Steps tests, const IpAddress& address) {
  const Destination destination(address);
  bool pass = tests.size() > 1;
  for (const std::string& test : tests) {
    const std::optional<bool> passes = destination.passes(test);
    if (!passes) return std::nullopt;
    pass = pass && *passes;
  }
  return pass;
}

}  // namespace

bool is_plain_jump(const RuleForm& form) {
  return form.size() == 1 && form.front().starts_with("jump ");
}

bool excludes(const RuleForm& form, const IpAddress& address) {
  return !form.empty() && form.back() == "return" &&
         pass({form.data(), form.size() - 1}, address) == true;
}

ChainPart part_of(Suffix suffix) {
  const bool is_one = suffix.scope == AddressScope::one;
  if (suffix.family == Family::ipv4) return is_one ? ChainPart::one4 : ChainPart::any4;
  return is_one ? ChainPart::one6 : ChainPart::any6;
}

std::optional<ChainPart> part_of_network_chain(const RuleForm& form, std::string_view chain) {
  if (form.size() < 2) return std::nullopt;
  if (form.back() == "return") {
    const Steps tests(form.data(), form.size() - 1);
    if (are_of_device(tests)) return ChainPart::devices;
    if (pass(tests, IpAddress::any(Family::ipv4))) return ChainPart::addresses4;
    if (pass(tests, IpAddress::any(Family::ipv6))) return ChainPart::addresses6;
    return std::nullopt;
  }
  if (!form.back().starts_with("dnat ")) return std::nullopt;
  const std::string& map = form[form.size() - 2];
  for (const Suffix suffix : kSuffixes)
    if (map.starts_with("in @" + target_map(chain, suffix) + " ")) return part_of(suffix);
  return std::nullopt;
}

// "snat ip 1 [#c0000207] [#c0000207] - -"
std::optional<IpAddress> snat_address(const RuleForm& form) {
  if (form.empty() || !form.back().starts_with("snat ")) return std::nullopt;
  const std::string_view text = form.back();
  const std::size_t begin = text.find(" [#");
  const std::size_t end = text.find(']');
  if (begin == std::string_view::npos || end == std::string_view::npos) return std::nullopt;
  const std::string_view digits = text.substr(begin + 3, end - begin - 3);
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
    bytes.push_back(number_of<std::uint8_t>(digits.substr(i, 2), 16));
  for (const Family family : kFamilies)
    if (bytes.size() == address_length(family)) return IpAddress::from_bytes(family, bytes.data());
  return std::nullopt;
}

}  // namespace portmapper::nft
