// Which rules a chain of ours may have, by what they do.

#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <span>

#include "nft/rule_form.hpp"

namespace portmapper::nft {
namespace {

// Whether a test is of what `is_operand` knows: "nh+16 == 0a", "in { ... } [meta:6+0:16]".
template <typename IsOperand>
bool tests_operand(std::string_view test, const IsOperand& is_operand) {
  if (!test.starts_with("in {")) return is_operand(test);
  const std::size_t key = test.find(" } [");
  return key != std::string_view::npos && test.ends_with("]") && is_operand(test.substr(key + 4));
}

// iifname { "mesos-cni0", "docker0" }
bool are_of_device(std::span<const std::string> tests) {
  const std::string device = "meta:" + std::to_string(NFT_META_IIFNAME) + "+";
  return std::all_of(tests.begin(), tests.end(), [&device](const std::string& test) {
    return tests_operand(
        test, [&device](std::string_view operand) { return operand.starts_with(device); });
  });
}

// ip daddr { 10.96.0.0/12, 192.0.2.7 }
bool are_of_destination(std::span<const std::string> tests, Family family) {
  const std::string says_family = "meta:" + std::to_string(NFT_META_NFPROTO) +
                                  (family == Family::ipv4 ? "+0 == 02" : "+0 == 0a");
  const std::size_t first = family == Family::ipv4 ? 16 : 24;  // of the header's bytes
  const auto is_destination = [&](std::string_view operand) {
    if (!operand.starts_with("nh+")) return false;
    std::size_t byte = 0;
    for (const char c : operand.substr(3)) {
      if (c < '0' || c > '9') break;
      byte = byte * 10 + static_cast<std::size_t>(c - '0');
    }
    return byte >= first && byte < first + address_length(family);
  };
  return std::all_of(tests.begin(), tests.end(), [&](const std::string& test) {
    return test == says_family || tests_operand(test, is_destination);
  });
}

}  // namespace

bool is_plain_jump(const RuleForm& form) {
  return form.size() == 1 && form.front().starts_with("jump ");
}

bool excludes_addresses(const RuleForm& form, Family family) {
  return form.size() > 2 && form.back() == "return" &&
         are_of_destination({form.data(), form.size() - 1}, family);
}

bool is_of_network_chain(const RuleForm& form, std::string_view chain) {
  if (form.empty()) return false;
  if (form.back() == "return") {
    return are_of_device({form.data(), form.size() - 1}) ||
           excludes_addresses(form, Family::ipv4) || excludes_addresses(form, Family::ipv6);
  }
  if (form.size() < 2 || !form.back().starts_with("dnat ")) return false;
  const std::string& map = form[form.size() - 2];
  return std::any_of(kSuffixes.begin(), kSuffixes.end(), [&](const Suffix suffix) {
    return map.starts_with("in @" + target_map(chain, suffix) + " ");
  });
}

}  // namespace portmapper::nft
