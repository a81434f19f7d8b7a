// What the tests of CHECK have in common: the example's container, published, and damage to it.
//
//   Checked checked;
//   checked.nft("delete element inet nft-port-mapper owners ...");
//   CHECK(checked.check() == finding("element of 0.0.0.0:8080/tcp in owners is missing"));
#pragma once

#include <doctest/doctest.h>

#include <regex>
#include <string>
#include <vector>

#include "tests/support/listing.hpp"
#include "tests/support/runtime.hpp"
#include "tests/support/verdict.hpp"

namespace portmapper::test {

inline const std::string in_table = " inet nft-port-mapper ";

// What CHECK answers when `findings` is what it found.
inline std::string finding(const std::string& findings) {
  return "103 cniVersion 1.0.0: the ports of container abc are not as ADD builds them: " + findings;
}

// Container "abc" of the example, published with the example's options and ports.
class Checked {
 public:
  Checked() {
    lab.container("abc", "10.22.0.2/16", "fd00::2/64");
    REQUIRE(add() == done);
  }
  std::string add() const { return Runtime(lab, example_options).add("abc", example_ports); }
  std::string check(const std::string& result = "") const {
    return verdict(Plugin{PLUGIN}.call(lab, lab.host(), "CHECK", "abc", config(result)));
  }
  std::string config(const std::string& result = "") const {
    return chained_config("web", result.empty() ? lab.previous_result("abc") : result,
                          to_json(example_ports), example_options);
  }
  void nft(const std::string& script) const { test::nft(lab.host(), script); }
  // A new table as ADD makes it, whatever happened to the old one.
  void restore() const {
    nft("table inet nft-port-mapper\ndelete table inet nft-port-mapper\n");
    REQUIRE(add() == done);
  }
  // The handle of the rule of `chain` that contains `text`.
  std::string handle(const std::string& chain, const std::string& text) const {
    const std::string rules =
        run({"nft", "-a", "list", "chain", "inet", "nft-port-mapper", chain}, {.ns = lab.host()})
            .out;
    const std::size_t at = rules.find(text);
    REQUIRE_MESSAGE(at != std::string::npos, rules);
    const std::string rest = rules.substr(rules.find("# handle ", at) + 9);
    return rest.substr(0, rest.find('\n'));
  }
  // The first part of the keys of owners, quoted as nft wants it.
  std::string owner() const {
    static const std::regex pattern("\"k[0-9a-v]{14}\"");
    const std::string text = listing(lab.host());
    std::smatch match;
    REQUIRE(std::regex_search(text, match, pattern));
    return match.str();
  }

  Lab lab;
};

inline const std::string no_owners =
    "element of 0.0.0.0:8080/tcp in owners is missing; "
    "element of 192.0.2.1:5353/udp in owners is missing; "
    "element of [::]:8080/tcp in owners is missing";

struct Damage {
  std::string script;    // each command without its "inet nft-port-mapper"
  std::string findings;  // joined by "; "
};

// "delete element published-ip ..." -> "delete element inet nft-port-mapper published-ip ..."
inline std::string expanded(const std::string& script) {
  static const std::regex command(
      "(add|create|delete|flush|insert) (element|chain|rule|set|map) ([^;{]*)");
  return std::regex_replace(script, command, "$1 $2" + in_table + "$3");
}

inline void check_each(const std::vector<Damage>& damages) {
  Checked checked;
  for (const Damage& damage : damages) {
    CAPTURE(damage.script);
    checked.nft(replaced(expanded(damage.script), "OWNER", checked.owner()));
    CHECK(checked.check() == finding(damage.findings));
    CHECK(checked.check() == finding(damage.findings));  // it mends nothing
    checked.restore();
    CHECK(checked.check() == "ok");
  }
}

}  // namespace portmapper::test
