// nft/rule_form: what a rule does, whoever encoded it.
#include "nft/rule_form.hpp"

#include <doctest/doctest.h>
#include <linux/netfilter.h>

#include "nft/ruleset.hpp"
#include "tests/support/replies.hpp"

using namespace portmapper;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

std::string text_of(const RuleForm& form) {
  std::string text;
  for (const std::string& step : form) text += step + "\n";
  return text;
}

bool is_part(const RuleForm& form, const char* chain) {
  return part_of_network_chain(form, chain).has_value();
}

// Expressions as an attribute list, one behind the other.
class Expressions {
 public:
  Expressions& add(const char* name, const Attrs& data) {
    list_.nest(NFTA_LIST_ELEM, Attrs().text(NFTA_EXPR_NAME, name).nest(NFTA_EXPR_DATA, data));
    return *this;
  }
  Expressions& load(const char* name, std::uint16_t key, std::uint32_t number, std::uint16_t to,
                    std::uint32_t reg) {
    return add(name, Attrs().number(key, number).number(to, reg));
  }
  Expressions& meta(std::uint32_t key, std::uint32_t reg) {
    return load("meta", NFTA_META_KEY, key, NFTA_META_DREG, reg);
  }
  Expressions& payload(std::uint32_t base, std::uint32_t offset, std::uint32_t length,
                       std::uint32_t reg) {
    return add("payload", Attrs()
                              .number(NFTA_PAYLOAD_DREG, reg)
                              .number(NFTA_PAYLOAD_BASE, base)
                              .number(NFTA_PAYLOAD_OFFSET, offset)
                              .number(NFTA_PAYLOAD_LEN, length));
  }
  Expressions& compare(std::uint32_t reg, std::uint32_t operation, std::string_view bytes) {
    return add("cmp", Attrs()
                          .number(NFTA_CMP_SREG, reg)
                          .number(NFTA_CMP_OP, operation)
                          .nest(NFTA_CMP_DATA, Attrs().put(NFTA_DATA_VALUE, unhex(bytes))));
  }
  Expressions& mask(std::uint32_t reg, std::string_view bits, std::string_view zero) {
    return add("bitwise", Attrs()
                              .number(NFTA_BITWISE_SREG, reg)
                              .number(NFTA_BITWISE_DREG, reg)
                              .number(NFTA_BITWISE_LEN, static_cast<std::uint32_t>(zero.size() / 2))
                              .nest(NFTA_BITWISE_MASK, Attrs().put(NFTA_DATA_VALUE, unhex(bits)))
                              .nest(NFTA_BITWISE_XOR, Attrs().put(NFTA_DATA_VALUE, unhex(zero))));
  }
  Expressions& lookup(const char* set, std::uint32_t reg) {
    return add("lookup", Attrs().text(NFTA_LOOKUP_SET, set).number(NFTA_LOOKUP_SREG, reg));
  }
  Expressions& verdict(std::int32_t code) {
    const Attrs inner = Attrs().number(NFTA_VERDICT_CODE, static_cast<std::uint32_t>(code));
    return add("immediate", Attrs()
                                .number(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT)
                                .nest(NFTA_IMMEDIATE_DATA, Attrs().nest(NFTA_DATA_VERDICT, inner)));
  }
  [[nodiscard]] std::string form(const AnonymousSets& sets = {}) const {
    const Buffer bytes = list_.bytes();
    return text_of(rule_form(bytes, sets));
  }

 private:
  Attrs list_;
};

}  // namespace

const std::string kSetLabel = std::endian::native == std::endian::little
                                  ? "set ct:13 [#00000000000000000000000000000080]\n"
                                  : "set ct:13 [#80000000000000000000000000000000]\n";

TEST_CASE("rule form: what our own rules do") {
  CHECK(text_of(rule_form({.action = Jump{"c"}})) == "jump c\n");
  CHECK(text_of(rule_form({.action = Goto{"c"}})) == "goto c\n");
  CHECK(text_of(rule_form({Translate{"c-hostip", {Family::ipv4, AddressScope::one}}})) ==
        "meta:15+0 == 02\n" + kSetLabel +
            "in @c-hostip [nh+16:4 meta:16+0:1 #000000 th+2:2 #0000]\n"
            "dnat ip 3 [@c-hostip+0:4] [@c-hostip+0:4] [@c-hostip+4:2] [@c-hostip+4:2]\n");
  CHECK(text_of(rule_form({Translate{"c-ip6", {Family::ipv6, AddressScope::any}}})) ==
        kSetLabel +
            "in @c-ip6 [meta:16+0:1 #000000 th+2:2 #0000]\n"
            "dnat ip6 3 [@c-ip6+0:16] [@c-ip6+0:16] [@c-ip6+16:2] [@c-ip6+16:2]\n");
  CHECK(text_of(rule_form(network_chain({"c", {"b", "a"}}).rules.front())) ==
        "in { 61000000000000000000000000000000 62000000000000000000000000000000 } [meta:6+0:16]\n"
        "return\n");
}

TEST_CASE("rule form: the number of a register makes no difference") {
  const auto of = [](std::uint32_t first, std::uint32_t second) {
    return Expressions()
        .meta(NFT_META_L4PROTO, first)
        .payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, second)
        .lookup("published-ip", first)
        .verdict(NF_DROP)
        .form();
  };
  CHECK(of(NFT_REG_1, NFT_REG32_01) ==
        "in @published-ip [meta:16+0:1 #000000 th+2:2 #0000]\ndrop\n");
  CHECK(of(NFT_REG32_00, NFT_REG32_01) == of(NFT_REG_1, NFT_REG32_01));
  CHECK(of(NFT_REG32_05, NFT_REG32_06) == of(NFT_REG_1, NFT_REG32_01));
  CHECK(of(NFT_REG_2, NFT_REG32_05) == of(NFT_REG_1, NFT_REG32_01));
  CHECK(of(NFT_REG_1, NFT_REG32_02) != of(NFT_REG_1, NFT_REG32_01));
}

TEST_CASE("rule form: neither how many bytes are compared at once, nor in which order") {
  const std::uint32_t header = NFT_PAYLOAD_TRANSPORT_HEADER;
  const std::string at_once =
      Expressions().payload(header, 0, 4, 1).compare(1, NFT_CMP_EQ, "00010050").form();
  CHECK(at_once == "th+0 == 00\nth+1 == 01\nth+2 == 00\nth+3 == 50\n");
  CHECK(Expressions()
            .payload(header, 2, 2, 1)
            .compare(1, NFT_CMP_EQ, "0050")
            .payload(header, 0, 2, 9)
            .compare(9, NFT_CMP_EQ, "0001")
            .compare(9, NFT_CMP_EQ, "0001")
            .form() == at_once);
}

TEST_CASE("rule form: a prefix is the same, loaded short or masked; a bit is not") {
  const std::uint32_t header = NFT_PAYLOAD_NETWORK_HEADER;
  for (const std::uint32_t operation : {NFT_CMP_EQ, NFT_CMP_NEQ}) {
    CHECK(Expressions().payload(header, 16, 1, 1).compare(1, operation, "7f").form() ==
          Expressions()
              .payload(header, 16, 4, 1)
              .mask(1, "ff000000", "00000000")
              .compare(1, operation, "7f000000")
              .form());
  }
  CHECK(Expressions()
            .payload(header, 16, 4, 1)
            .mask(1, "fff00000", "00000000")
            .compare(1, NFT_CMP_EQ, "0a100000")
            .form() == "nh+16 == 0a\nnh+17&f0 == 10\n");
  CHECK(Expressions()
            .payload(header, 16, 1, 1)
            .mask(1, "00", "00")
            .compare(1, NFT_CMP_EQ, "01")
            .form() == "never\n");
}

TEST_CASE("rule form: what is not known is nobody's of ours") {
  const Attrs nothing;
  CHECK(Expressions().add("log", nothing).form() == "");
  CHECK(Expressions().verdict(NF_ACCEPT).add("limit", nothing).form() == "");
  CHECK(Expressions().meta(NFT_META_CPU, 1).form() == "");
  CHECK(Expressions().meta(NFT_META_MARK, 2000).form() == "");
  CHECK(Expressions().meta(NFT_META_L4PROTO, 1).lookup("own", 1).form() == "");
  CHECK(Expressions().meta(NFT_META_L4PROTO, 1).lookup("__set0", 1).form() == "");
  CHECK(Expressions().meta(NFT_META_L4PROTO, 1).lookup("__set0", 1).form({{"__set0", {"06"}}}) ==
        "in { 06 } [meta:16+0:1]\n");
  Attrs payload;
  payload.number(NFTA_PAYLOAD_DREG, 1)
      .number(NFTA_PAYLOAD_BASE, 1)
      .number(NFTA_PAYLOAD_OFFSET, 0)
      .number(NFTA_PAYLOAD_LEN, 1000);
  CHECK(Expressions().add("payload", payload).form() == "");
}

TEST_CASE("rule form: which rules a network chain may have") {
  const NetworkChain network{"c", {"eth0"}};
  for (const Rule& rule : network_chain(network).rules) CHECK(is_part(rule_form(rule), "c"));
  CHECK(is_part(rule_form(network_chain({"c", {"b", "a"}}).rules.front()), "c"));
  CHECK_FALSE(is_part(rule_form(network_chain({"d", {}}).rules[0]), "c"));
  CHECK_FALSE(is_part({}, "c"));
  CHECK_FALSE(is_part({"return"}, "c"));
  CHECK_FALSE(is_part({"meta:16+0 == 06", "return"}, "c"));
  CHECK_FALSE(is_part({"drop"}, "c"));
  CHECK(is_plain_jump({"jump c"}));
  CHECK_FALSE(is_plain_jump({"meta:16+0 == 06", "jump c"}));
  CHECK_FALSE(is_plain_jump({"goto c"}));
}
