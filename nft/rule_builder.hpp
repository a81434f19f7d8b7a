// RuleBuilder: the expressions of one rule, one after the other, and the anonymous sets they need.
//
//   RuleBuilder rule(messages, set_id);
//   rule.only_family(Family::ipv4);
//   rule.address(Family::ipv4, Side::source, slot(0));
//   rule.compare(NFT_CMP_EQ, {address.bytes().data(), 4});
//   rule.finish("MESOS-WEB", encode_rule_tag(1));  // after the messages of its sets
//
// A register is 4 bytes here and a value starts at `slot` of them; where the kernel has a 16-byte
// register that starts there, its name is used, as nft does. What a rule tests to make sense of
// headers (its family, its protocol) is tested once. Data is in the byte order of the packet, or
// the host's for what the kernel keeps in it. Errors: none. Does not promise: fewer expressions
// than the 128 that the kernel takes. Source: kernel nf_tables.h; nft --debug=netlink.
#pragma once

#include <libnftnl/rule.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "lib/base/ip_address.hpp"
#include "lib/base/port.hpp"
#include "nft/anonymous_set.hpp"
#include "nft/names.hpp"
#include "nft/netlink_message.hpp"

struct nftnl_expr;

namespace portmapper::nft {

std::uint32_t slot(std::uint32_t number);

enum class Side : std::uint8_t { source, destination };

class RuleBuilder {
 public:
  // `set_id`: within the batch, of the first anonymous set.
  RuleBuilder(Messages& messages, std::uint32_t set_id);

  nftnl_expr* add(const char* name);  // an expression of any kind; the rule owns it
  void meta(std::uint32_t key, std::uint32_t reg);
  void connection(std::uint32_t key, std::uint32_t reg);  // ct state, ct status
  void destination_type();                                // fib daddr type, to slot 0
  void payload(std::uint32_t base, std::uint32_t offset, std::uint32_t length, std::uint32_t reg);
  // The first `length` bytes of an address.
  void address(Family family, Side side, std::uint32_t reg, std::uint32_t length);
  void address(Family family, Side side, std::uint32_t reg);
  void port(Side side, std::uint32_t reg);

  // What is at slot 0: keeps the bits of the mask, turned to network order, compared, between two.
  void mask(std::span<const std::uint8_t> bits);
  void to_network_order();
  void compare(std::uint32_t operation, std::span<const std::uint8_t> data);
  void not_between(std::span<const std::uint8_t> first, std::span<const std::uint8_t> last);
  void lookup(const std::string& set, bool is_inverted = false);
  void lookup(const std::string& map, std::uint32_t data_register);
  void lookup(const AnonymousSet& set, bool is_inverted);
  void verdict(int code, const char* chain = nullptr);

  // meta nfproto ipv4: an inet table sees both families, and the headers differ
  void only_family(Family family);
  // meta l4proto tcp: the headers of other protocols differ
  void only_protocol(Protocol protocol);

  // Returns the first set number that is free.
  std::uint32_t finish(const std::string& chain, std::string_view userdata);

 private:
  Messages& messages_;
  std::uint32_t next_set_id_;
  Owned<nftnl_rule, nftnl_rule_free> rule_;
  std::size_t expressions_ = 0;
  bool family_is_tested_ = false;
  bool protocol_is_tested_ = false;
};

}  // namespace portmapper::nft
