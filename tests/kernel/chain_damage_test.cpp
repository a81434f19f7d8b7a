// A network's chain that somebody else changed: what check says of it, and what puts it back.
#include <doctest/doctest.h>

#include <regex>

#include "tests/support/cni_cache.hpp"
#include "tests/support/tool.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

const std::string kChain = "inet nft-port-mapper NET-WEB";
const std::string kOptions =
    R"("chain":"NET-WEB","excludeDevices":["lan0"],"excludeAddresses":["192.0.2.9"],)"
    R"("conditionsV4":["ip saddr 0.0.0.0/1"],"conditionsV6":["ip6 saddr 2000::/3"])";
const std::string kPublished = "0\nrestored 0 attachments; 1 published already, 0 gone\n";

std::string said(const RunResult& result) {
  return std::to_string(result.status) + "\n" + result.out + result.err;
}

struct Host {
  Lab lab;
  std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  CniCache cache{lab, kOptions};

  Host() { REQUIRE(cache.add("abc", example_ports) == done); }

  // "RULE N" in a script becomes the handle of the chain's rule N.
  void damage(std::string script) const {
    const std::string listed = tool(lab.host(), "nft -a list chain " + kChain);
    const std::regex handle(" # handle ([0-9]+)\n");
    std::vector<std::string> handles;
    const std::string rules = listed.substr(listed.find("\tchain"));
    for (std::sregex_iterator at(rules.begin(), rules.end(), handle), end; at != end; ++at)
      handles.push_back((*at)[1]);
    std::erase(handles, std::string());
    for (std::size_t i = 1; i < handles.size(); ++i)  // the first is the chain's own
      script = std::regex_replace(script, std::regex("RULE " + std::to_string(i) + "\\b"),
                                  "handle " + handles[i]);
    nft(lab.host(), std::regex_replace(script, std::regex("CHAIN"), kChain));
  }
  [[nodiscard]] std::string check() const { return said(ctl(lab, {"check"})); }
  [[nodiscard]] std::string restore() const {
    return said(ctl(lab, {"restore", "--from", cache.directory()}));
  }
  // With the records where a runtime has them.
  [[nodiscard]] std::string with_records(const std::string& words) const {
    const std::string script =
        "mount -t tmpfs none /var/lib && mkdir /var/lib/cni && mount --bind " + cache.directory() +
        " /var/lib/cni && exec " CTL " " + words;
    return said(run({"unshare", "--mount", "sh", "-c", script}, {.ns = lab.host()}));
  }
  // Objects that were made anew are listed last.
  [[nodiscard]] std::string now() const { return tool(lab.host(), "nft list chain " + kChain); }
  void load_again() const {
    const std::string saved = tool(lab.host(), "nft list ruleset");
    nft(lab.host(), "flush ruleset");
    nft(lab.host(), saved);
  }
};

std::string lines(const std::vector<std::string>& findings, const std::string& end) {
  std::string text = "1\n";
  for (const std::string& finding : findings) text += "chain NET-WEB " + finding + end + "\n";
  return text;
}

struct Case {
  std::string script;
  std::vector<std::string> findings;
};

}  // namespace

TEST_CASE("chain damage: check names each, and the attachment's record puts it back") {
  const Host host;
  const std::string before = host.now();
  const std::string next_add = "; the next ADD of its network repairs that";
  const std::string lost_device = "lacks rule 1 of 6, which excludes devices";
  const std::string stranger = "has rules that are not ours: number ";
  for (const Case& one : std::initializer_list<Case>{
           {"insert rule CHAIN return", {stranger + "1 of 7"}},
           {"insert rule CHAIN ip daddr 192.0.2.1 return", {stranger + "1 of 7"}},
           {"insert rule CHAIN iifname \"lan0\" return", {stranger + "1 of 7"}},
           {"add rule CHAIN iifname \"lan0\" return\ninsert rule CHAIN drop",
            {stranger + "1, 8 of 8"}},
           {"delete rule CHAIN RULE 1", {lost_device}},
           {"delete rule CHAIN RULE 2",
            {"lacks rule 2 of 6, which translates by map NET-WEB-hostip"}},
           {"delete rule CHAIN RULE 3", {"lacks rule 3 of 6, which excludes addresses"}},
           {"delete rule CHAIN RULE 1\ndelete rule CHAIN RULE 4",
            {"lacks rule 1 of 6", "lacks rule 4 of 6"}},
           {"delete rule CHAIN RULE 1\nadd rule CHAIN iifname \"lan0\" return",
            {lost_device, stranger + "6 of 6"}},
           {"replace rule CHAIN RULE 1 iifname \"lan9\" return",
            {lost_device, stranger + "1 of 6"}},
           {"flush chain CHAIN", {"lacks rules"}}}) {
    CAPTURE(one.script);
    host.damage(one.script);
    CHECK(host.check() == lines(one.findings, next_add));
    CHECK(host.restore() == kPublished);
    CHECK(host.check() == "0\nno findings\n");
    CHECK(host.now() == before);
  }
}

TEST_CASE("chain damage: check --repair repairs what a living attachment is on record for") {
  const Host host;
  const std::string before = host.now();
  host.damage("insert rule CHAIN return");
  const std::string finding = "chain NET-WEB has rules that are not ours: number 1 of 7\n";
  CHECK(host.with_records("check") ==
        "1\n" + finding + "nft-port-mapperctl check --repair repairs 1 of these.\n");
  CHECK(host.with_records("check --repair") == "0\n" + finding + "mended 1 of 1\n");
  CHECK(host.check() == "0\nno findings\n");
  CHECK(host.now() == before);
}

TEST_CASE("chain damage: a chain that was loaded again has no places, and its parts tell") {
  const Host host;
  const std::string before = host.now();
  const std::string other = "has other rules than ours, or in another order";
  for (const Case& one : std::initializer_list<Case>{
           {"", {}},
           {"insert rule CHAIN return", {"has rules that are not ours: number 1 of 7"}},
           {"insert rule CHAIN ip daddr 192.0.2.1 return", {other}},
           {"delete rule CHAIN RULE 4", {"lacks the rule that translates by map NET-WEB-ip"}},
           {"delete rule CHAIN RULE 1\nadd rule CHAIN iifname \"lan0\" return", {other}},
           // Only the record tells.
           {"delete rule CHAIN RULE 1", {}}}) {
    CAPTURE(one.script);
    host.load_again();
    CHECK(host.check() == "0\nno findings\n");
    host.damage(one.script);
    CHECK(host.check() ==
          (one.findings.empty()
               ? "0\nno findings\n"
               : lines(one.findings, "; the next ADD of its network repairs that")));
    CHECK(host.restore() == kPublished);
    CHECK(host.check() == "0\nno findings\n");
    CHECK(host.now() == before);
  }
}

TEST_CASE("a shared set with a size, a timeout or constant is damage, which check --repair ends") {
  const Host host;
  const std::string set = "{ type inet_proto . inet_service; ";
  for (const auto& one : {std::pair("size 4;", "size 4"),
                          {"timeout 1h;", "timeout"},
                          {"size 4; timeout 1h;", "size 4 and timeout"},
                          {"flags timeout;", "timeout"}}) {
    CAPTURE(one.first);
    std::string script;
    for (const char* chain : {"any-address", "prerouting", "output"})
      script += "flush chain inet nft-port-mapper " + std::string(chain) + "\n";
    script +=
        "delete set inet nft-port-mapper published-ip\nadd set inet nft-port-mapper published-ip " +
        set + one.first + " }\nadd element inet nft-port-mapper published-ip { tcp . 8080 }\n";
    nft(host.lab.host(), script);
    const std::string text =
        "set published-ip has " + std::string(one.second) + ", which " + set + "} has not\n";
    CHECK(host.check().find(text) != std::string::npos);
    CHECK(host.with_records("check --repair").find(text) != std::string::npos);
    (void)host.with_records("check --repair");  // what the set had
    CHECK(host.check() == "0\nno findings\n");
    CHECK(host.restore() == kPublished);
  }
}

TEST_CASE("a set that is full is told in words") {
  Host host;
  const std::string def = host.lab.container("def", "10.22.0.3/16");
  nft(host.lab.host(),
      "delete map inet nft-port-mapper owners\n"
      "add map inet nft-port-mapper owners { type ifname . mark : ipv6_addr . inet_proto ."
      " inet_service; size 1; }\n");
  const std::string answer = Runtime(host.lab, kOptions).add("def", {{9090, 80}, {9091, 80}});
  CHECK(answer.find("owners (2 elements) (the set is full: somebody made it anew with a size;"
                    " nft-port-mapperctl check --repair makes it as ours)") != std::string::npos);
}
