// A table that was saved with `nft list ruleset` and loaded with `nft -f`: it is ours, whole, and
// everything goes on as if nothing had happened, though nothing of our userdata is left.
#include <doctest/doctest.h>
#include <linux/netfilter/nf_tables.h>

#include "lib/base/netlink.hpp"
#include "nft/read/query.hpp"
#include "nft/rule_form.hpp"
#include "tests/support/runtime.hpp"
#include "tests/support/tool.hpp"
#include "tests/support/verdict.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

void load_again(const std::string& ns) {
  const std::string saved = tool(ns, "nft list ruleset");
  test::nft(ns, "flush ruleset");
  test::nft(ns, saved);
}

std::string ctl(const Lab& lab, std::vector<std::string> words) {
  words.insert(words.begin(), CTL);
  const RunResult result = run(words, {.ns = lab.host()});
  return std::to_string(result.status) + "\n" + result.out + result.err;
}

// The rules with their handles: a chain that was built again has others.
std::string handles(const Lab& lab) {
  std::string text;
  for (const char* chain :
       {"prerouting", "output", "postrouting", "localnet-guard", "networks", "MESOS-WEB", "MAIL"})
    text += tool(lab.host(), "nft -a list chain inet nft-port-mapper " + std::string(chain));
  return text;
}

// Three containers: the example's, one with conditions and a chain of its own, and a neighbour of
// the first.
struct Reloaded {
  Lab lab;
  Runtime web{lab, example_options};
  std::string mail_options =
      R"("chain":"MAIL","excludeDevices":["docker0"],)"
      R"("conditionsV4":["ip saddr { 192.0.2.0/24, 10.0.0.0/8 } tcp dport != { 22, 80-90 }"],)"
      R"("conditionsV6":["tcp sport 1024-65535"])";
  Runtime mail{lab, mail_options, "mail"};
  Mappings mail_ports = {{2525, 25}, {2526, 25, "tcp", "192.0.2.11"}};
  std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  std::string def = lab.container("def", "10.22.0.3/16", "fd00::3/64");
  std::string ghi = lab.container("ghi", "10.22.0.4/16", "fd00::4/64");

  Reloaded() {
    REQUIRE(web.add("abc", example_ports) == done);
    REQUIRE(mail.add("def", mail_ports) == done);
    REQUIRE(web.add("ghi", {{9090, 80}}) == done);
    load_again(lab.host());
  }
  [[nodiscard]] std::string check(const std::string& network, const std::string& container,
                                  const Mappings& ports, const std::string& options) const {
    return verdict(Plugin{PLUGIN}.call(
        lab, lab.host(), "CHECK", container,
        chained_config(network, lab.previous_result(container), to_json(ports), options)));
  }
  [[nodiscard]] std::string check_all() const {
    return check("web", "abc", example_ports, example_options) + " " +
           check("mail", "def", mail_ports, mail_options) + " " +
           check("web", "ghi", {{9090, 80}}, example_options);
  }
};

// What each rule of our table does, a line each.
std::string forms(const std::string& ns) {
  return in_namespace(ns, [] {
    Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
    REQUIRE(netlink);
    std::vector<std::vector<std::uint8_t>> rules;
    nft::Query query;
    query.everything(NFT_MSG_GETRULE);
    REQUIRE(query.run(*netlink, [&rules](const nlmsghdr& reply) {
      const auto found = Attributes(message_attributes(reply, 4)).find(NFTA_RULE_EXPRESSIONS);
      if (found) rules.emplace_back(found->payload.begin(), found->payload.end());
    }));
    std::string text;
    for (const auto& rule : rules) {
      nft::AnonymousSets sets;
      for (const std::string& name : nft::anonymous_sets(rule)) {
        nft::Query elements;
        elements.all_elements(name);
        REQUIRE(elements.run(*netlink,
                             [&](const nlmsghdr& reply) { nft::add_elements(reply, sets[name]); }));
      }
      const nft::RuleForm form = nft::rule_form(rule, sets);
      for (const std::string& step : form) text += (&step == &form.front() ? "" : "; ") + step;
      text += form.empty() ? "unknown\n" : "\n";
    }
    return text;
  });
}

// Rules of every kind that our rulesets have or will have.
constexpr const char* kRules = R"(table inet nft-port-mapper {
  set published-ip { type inet_proto . inet_service; }
  set published-ip6 { type inet_proto . inet_service; }
  set published-hostip { type ipv4_addr . inet_proto . inet_service; }
  set hairpin-ip { type ipv4_addr . ipv4_addr; flags interval; }
  map c-hostip6 { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; counter; }
  chain c {
    iifname { "mesos-cni0", "docker0" } return
    meta nfproto ipv6 ct label set 127 dnat ip6 to ip6 daddr . meta l4proto . th dport map @c-hostip6
  }
  chain networks {
    ct label set 127
    jump c
  }
  chain any-address {
    socket wildcard 0 return
    goto networks
  }
  chain prerouting {
    type nat hook prerouting priority dstnat + 1; policy accept;
    fib daddr type != local return
    ip daddr . meta l4proto . th dport @published-hostip jump networks
    ip6 daddr fe80::/10 return
    meta nfproto ipv4 meta l4proto . th dport @published-ip socket wildcard 0 return
    meta nfproto ipv4 meta l4proto . th dport @published-ip goto any-address
    ip daddr 127.0.0.0/8 meta l4proto . th dport != @published-ip return
    ip6 daddr ::1 meta l4proto . th dport != @published-ip6 return
    ip daddr { 127.0.0.53, 127.0.0.54 } counter return
  }
  chain postrouting {
    type nat hook postrouting priority srcnat - 1; policy accept;
    ct status dnat ct label 127 ip saddr . ip daddr @hairpin-ip masquerade
  }
  chain guard {
    type filter hook input priority filter; policy accept;
    iifname != "lo" ip saddr 127.0.0.0/8 drop
    iifname != "lo" ip daddr 127.0.0.0/8 ct direction original drop
  }
}
)";

// What they do, as a little-endian machine has it in its registers.
constexpr const char* kForms =
    R"(in { 646f636b657230000000000000000000 6d65736f732d636e6930000000000000 } [meta:6+0:16]; return
meta:15+0 == 0a; set ct:13 [#00000000000000000000000000000080]; in @c-hostip6 [nh+24:16 meta:16+0:1 #000000 th+2:2 #0000]; dnat ip6 3 [@c-hostip6+0:16] [@c-hostip6+0:16] [@c-hostip6+16:2] [@c-hostip6+16:2]
set ct:13 [#00000000000000000000000000000080]
jump c
socket:2+0 == 00; return
goto networks
[fib:2+0:4] != 02000000; return
in @published-hostip [nh+16:4 meta:16+0:1 #000000 th+2:2 #0000]; meta:15+0 == 02; jump networks
meta:15+0 == 0a; nh+24 == fe; nh+25&c0 == 80; return
in @published-ip [meta:16+0:1 #000000 th+2:2 #0000]; meta:15+0 == 02; socket:2+0 == 00; return
in @published-ip [meta:16+0:1 #000000 th+2:2 #0000]; meta:15+0 == 02; goto any-address
meta:15+0 == 02; nh+16 == 7f; not in @published-ip [meta:16+0:1 #000000 th+2:2 #0000]; return
meta:15+0 == 0a; nh+24 == 00; nh+25 == 00; nh+26 == 00; nh+27 == 00; nh+28 == 00; nh+29 == 00; nh+30 == 00; nh+31 == 00; nh+32 == 00; nh+33 == 00; nh+34 == 00; nh+35 == 00; nh+36 == 00; nh+37 == 00; nh+38 == 00; nh+39 == 01; not in @published-ip6 [meta:16+0:1 #000000 th+2:2 #0000]; return
in { 7f000035 7f000036 } [nh+16:4]; meta:15+0 == 02; counter; return
[ct:13+15&80] != 00; [ct:2+0&20] != 00; in @hairpin-ip [nh+12:8]; meta:15+0 == 02; masquerade 0
[meta:6+0:16] != 6c6f0000000000000000000000000000; meta:15+0 == 02; nh+12 == 7f; drop
[meta:6+0:16] != 6c6f0000000000000000000000000000; ct:1+0 == 00; meta:15+0 == 02; nh+16 == 7f; drop
)";

}  // namespace

TEST_CASE("reload: what was saved and loaded again is whole, and ADD builds nothing anew") {
  const Reloaded reloaded;
  const Lab& lab = reloaded.lab;
  CHECK(ctl(lab, {"check"}) == "0\nno findings\n");
  CHECK(reloaded.check_all() == "ok ok ok");
  const std::string before = handles(lab);
  CHECK(reloaded.web.add("abc", example_ports) == done);
  CHECK(reloaded.mail.add("def", reloaded.mail_ports) == done);
  CHECK(difference(handles(lab), before) == "");
  CHECK(reloaded.check_all() == "ok ok ok");
  load_again(lab.host());
  CHECK(ctl(lab, {"check", "--repair"}) == "0\nno findings\n");
}

TEST_CASE("reload: an operator's rule among ours is still found") {
  const Reloaded reloaded;
  test::nft(reloaded.lab.host(), "insert rule inet nft-port-mapper MAIL tcp dport 22 drop");
  test::nft(reloaded.lab.host(), "insert rule inet nft-port-mapper networks ct mark 7 jump MAIL");
  CHECK(ctl(reloaded.lab, {"check"}) ==
        "1\nchain MAIL has rules that are not ours: number 1 of 6; the next ADD of its network"
        " repairs that\n"
        "chain networks has rules that are not ours\n"
        "nft-port-mapperctl check --repair repairs 1 of these.\n");
  CHECK(reloaded.mail.add("def", reloaded.mail_ports) == done);
  CHECK(ctl(reloaded.lab, {"check"}) == "0\nno findings\n");
}

TEST_CASE("reload: the containers answer, are listed, and prune leaves them") {
  const Reloaded reloaded;
  const Lab& lab = reloaded.lab;
  const Server abc(reloaded.abc, "abc", Protocol::tcp, "0.0.0.0", 80);
  const Server def(reloaded.def, "def", Protocol::tcp, "0.0.0.0", 25);
  const Server abc6(reloaded.abc, "abc", Protocol::tcp, "::", 80);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.2");
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 2525) == "def 192.0.2.2");
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.11", 2526) == "def 192.0.2.2");
  CHECK(ask(lab.client(), Protocol::tcp, "2001:db8::1", 8080) == "abc 2001:db8::2");
  CHECK(ask(lab.host(), Protocol::tcp, "127.0.0.1", 8080) == "abc 10.22.0.1");
  const std::string before = normalise(listing(lab.host()));
  (void)ctl(lab, {"prune"});
  CHECK(difference(normalise(listing(lab.host())), before) == "");
  CHECK(ctl(lab, {"owner", "2525/tcp", "192.0.2.1"})
            .starts_with("0\n0.0.0.0:2525/tcp is published by container def of network mail (eth0) "
                         "and leads to 10.22.0.3:25"));
  const std::string listed = ctl(lab, {"list", "--network", "mail"});
  CHECK(listed.find("10.22.0.3:25") != std::string::npos);
  CHECK(listed.find("missing") == std::string::npos);
}

TEST_CASE("reload: another container is refused the ports, and is told whose they are") {
  const Reloaded reloaded;
  CHECK(reloaded.web.add("ghi", {{2526, 80}}) ==
        conflict("ghi", published_by("192.0.2.11:2526/tcp", "def", "mail")));
  CHECK(reloaded.web.add("ghi", {{2525, 80, "tcp", "127.0.0.1"}}) ==
        conflict("ghi", published_by("0.0.0.0:2525/tcp", "def", "mail")));
}

TEST_CASE("reload: DEL finds the chain, whatever the configuration says, and leaves nothing") {
  const Reloaded reloaded;
  // Its configuration names another chain by now.
  CHECK(Runtime(reloaded.lab, R"("chain":"OTHER")", "mail").del("def") == done);
  const std::string left = listing(reloaded.lab.host());
  CHECK(left.find("10.22.0.3") == std::string::npos);
  CHECK(left.find("2525") == std::string::npos);
  CHECK(reloaded.web.del("abc") == done);
  CHECK(reloaded.web.del("ghi") == done);
  CHECK(listing(reloaded.lab.host()).find("elements") == std::string::npos);
}

TEST_CASE("reload: a second network of a container finds its ports published, and CHECK as well") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const Runtime first(lab, R"("chain":"FIRST")", "first");
  const Runtime second(lab, R"("chain":"SECOND")", "second");
  REQUIRE(first.add("abc", {{8080, 80}}) == done);
  REQUIRE(second.add("abc", {{8080, 80}}) == done);
  load_again(lab.host());
  CHECK(verdict(Plugin{PLUGIN}.call(
            lab, lab.host(), "CHECK", "abc",
            chained_config("second", lab.previous_result("abc"), to_json({{8080, 80}}),
                           R"("chain":"SECOND")"))) == "ok");
  CHECK(second.add("abc", {{8080, 80}}) == done);
}

TEST_CASE("reload: what a rule does is known, and the same once its listing was loaded") {
  Lab lab;
  const std::string ns = lab.bare("nft");
  test::nft(ns, kRules);
  const std::string before = forms(ns);
  load_again(ns);
  CHECK(difference(forms(ns), before) == "");
  CHECK(difference(before, kForms) == "");
}
