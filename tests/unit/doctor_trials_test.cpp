// lib/app/doctor: judging what real connections came to.
#include <doctest/doctest.h>
#include <linux/netfilter.h>

#include <cerrno>

#include "tests/support/healthy_host.hpp"

using namespace portmapper;
using namespace portmapper::doctor;
using namespace portmapper::test;

TEST_CASE("doctor trial: a port that fails is never called well") {
  using host::Answer;
  const auto tried = [](Answer direct, Answer outside, bool was_taken = true) {
    Host host = host_of_one_port();
    host.probe = "npmprobe1";
    host.ports[0].trial = {direct, outside, was_taken};
    return told(diagnose(host));
  };
  const std::string fails = "problem: 0.0.0.0:8080/tcp fails: ";
  const std::string see = "; see where its packets go | nft-port-mapperctl trace 8080/tcp\n";
  const std::string unknown = "nothing that was looked at explains it";
  CHECK(tried(Answer::answered, Answer::answered) == "");
  CHECK(tried(Answer::answered, Answer::silent) ==
        fails + "a connection from a test client got no answer | " + unknown +
            "; the container answers the host itself, so it is on the way" + see);
  CHECK(tried(Answer::refused, Answer::refused) ==
        fails + "a connection from a test client was refused | " + unknown +
            "; one from the host straight to the container was refused too, so it is the container"
            " or the link to it" +
            see);
  CHECK(tried(Answer::unreachable, Answer::untried) ==
        fails + "a connection from the host to the container found no way | " + unknown + see);
  CHECK(tried(Answer::answered, Answer::unreachable, false)
            .starts_with(fails + "a connection from a test client found no way | " + unknown));
}

TEST_CASE("doctor trial: a test client that the host's routes send no answers tells nothing") {
  Host host = host_of_one_port();
  host.probe = "npmprobe1";
  host.ports[0].trial = {
      .direct = host::Answer::answered, .outside = host::Answer::silent, .finds_back = false};
  CHECK(
      told(diagnose(host)) ==
      "note: no test connection tells about 0.0.0.0:8080/tcp | a connection from a test client got"
      " no answer, as the host's routes lead the container's answers elsewhere than to it; the"
      " container answers the host itself, so it is on the way; ask from a client to be sure; see"
      " where its packets go | nft-port-mapperctl trace 8080/tcp\n");
}

TEST_CASE(
    "doctor trial: a kernel to which the addresses of a VRF are not the host's own is told of") {
  Host host = host_of_one_port();
  host.probe = "npmprobe1";
  host.interfaces.push_back(interface_of("blue", 9, "vrf"));
  host.interfaces[0].master = 9;
  host.ports[0].trial = {.direct = host::Answer::answered,
                         .outside = host::Answer::refused,
                         .was_taken = false,
                         .finds_back = false};
  CHECK(
      told(diagnose(host)) ==
      "problem: 0.0.0.0:8080/tcp fails: a connection from a test client was refused | its clients"
      " come by eth0, which is in VRF blue, and for this kernel's rules the addresses of a VRF are"
      " not the host's own: those of Linux 6.1 are not, those of 6.12 are; it takes a newer"
      " kernel, or an interface that is in no VRF; see where its packets go |"
      " nft-port-mapperctl trace 8080/tcp\n");
  // Where the table took the connection, the kernel knows them.
  host.ports[0].trial.was_taken = true;
  host.ports[0].trial.outside = host::Answer::silent;
  CHECK(told(diagnose(host)).starts_with("note: no test connection tells about"));
  // A bridge is no VRF.
  host.ports[0].trial.was_taken = false;
  host.interfaces.back().kind = "bridge";
  CHECK(told(diagnose(host)).find("VRF") == std::string::npos);
}

TEST_CASE("doctor trial: a port that clients reach and the host itself does not") {
  Host host = host_of_one_port();
  host.probe = "npmprobe1";
  host.ports[0].trial = {.direct = host::Answer::answered,
                         .outside = host::Answer::answered,
                         .own = host::Answer::silent};
  const std::string fails = " fails: a connection from this host itself got no answer";
  CHECK(told(diagnose(host)) ==
        "note: 0.0.0.0:8080/tcp" + fails +
            " | nothing that was looked at explains it; what the host sends passes the chains at"
            " output and postrouting and none at prerouting, and has routes of its own; see where"
            " its packets go | nft-port-mapperctl trace 8080/tcp\n");
  host.ports[0].published.address = *IpAddress::parse("127.0.0.1");
  host.ports[0].trial.outside = host::Answer::untried;
  CHECK(told(diagnose(host)).starts_with("problem: 127.0.0.1:8080/tcp" + fails));
}

TEST_CASE("doctor trial: a note about the container may tell why the test client gets no answer") {
  Host host = host_of_one_port();
  host.probe = "npmprobe1";
  host.ports[0].trial = {host::Answer::silent, host::Answer::silent};
  const nft::foreign::TableId table{NFPROTO_INET, "fw"};
  const nft::foreign::Condition unknown{.key = {{nft::foreign::PacketField::opaque, "-m set", 4}}};
  host.insides[kNetnsOfAbc].rules.chains.emplace(
      nft::foreign::Name{table, "input"},
      nft::foreign::Chain{
          table,
          "input",
          1,
          nft::foreign::Hook{"filter", NF_INET_LOCAL_IN, 0, true},
          {{5, {unknown}, {nft::foreign::Verdict::Kind::accept, {}}, std::nullopt}}});
  const std::string text = told(diagnose(host));
  CHECK(text.starts_with("note: container web/abc/eth0 has rules of its own that drop some"));
  CHECK(text.find("\nnote: no test connection tells about 0.0.0.0:8080/tcp | a connection from a"
                  " test client got no answer, as the note about its container may tell") !=
        std::string::npos);
  CHECK(text.find("problem") == std::string::npos);
}

TEST_CASE(
    "doctor trial: a failure that a problem explains is not told twice, a datagram's silence not"
    " at all") {
  Host host = host_of_one_port();
  host.ports[0].ways[0].request = {.in = "eth0", .refusal = EINVAL};
  host.probe = "npmprobe1";
  host.ports[0].trial = {host::Answer::answered, host::Answer::silent};
  CHECK(diagnose(host).back().level == Finding::Level::ok);
  host = host_of_one_port();
  host.ports[0].published.protocol = Protocol::udp;
  host.insides.clear();
  host.probe = "npmprobe1";
  host.ports[0].trial = {host::Answer::silent, host::Answer::silent};
  CHECK(told(diagnose(host)) == "");
  host.probe = "";
  host.probe_refusal = "Operation not permitted";
  CHECK(told(diagnose(host)) ==
        "note: no test client could be made: Operation not permitted | so only connections from the"
        " host itself to the containers were tried | \n");
}

TEST_CASE("doctor trial: rules that would drop the test client's interface alone make it a note") {
  Host host = host_of_one_port();
  host.probe = "npmprobe1";
  host.probe_addresses = {{Family::ipv4, *IpAddress::parse("198.18.113.254")}};
  host.ports[0].trial = {host::Answer::answered, host::Answer::silent};
  const nft::foreign::TableId table{NFPROTO_INET, "fw"};
  nft::foreign::Blob eth0{'e', 't', 'h', '0'};
  eth0.resize(16);
  const nft::foreign::Condition from_eth0{
      .key = {{nft::foreign::PacketField::iifname, "iifname", 16}}, .values = {{eth0, eth0}}};
  const nft::foreign::Condition of_answers{
      .key = {{nft::foreign::PacketField::oifname, "oifname", 16}}, .values = {{eth0, eth0}}};
  using Kind = nft::foreign::Verdict::Kind;
  host.others.chains.emplace(
      nft::foreign::Name{table, "forward"},
      nft::foreign::Chain{table,
                          "forward",
                          1,
                          nft::foreign::Hook{"filter", NF_INET_FORWARD, 0, true},
                          {{5, {from_eth0}, {Kind::accept, {}}, std::nullopt},
                           {6, {of_answers}, {Kind::accept, {}}, std::nullopt}}});
  const std::string tells_nothing =
      "note: no test connection tells about 0.0.0.0:8080/tcp | a connection from "
      "a"
      " test client got no answer, as rules, or the network's own conditions, leave out its "
      "interface"
      " or address; those of the clients they let in, as far as is known here";
  const std::string see =
      "; ask from a client to be sure; see where its packets go | nft-port-mapperctl trace"
      " 8080/tcp\n";
  CHECK(told(diagnose(host)) ==
        tells_nothing + "; the container answers the host itself, so it is on the way" + see);
  // Whether the container answered the host or not: a datagram may have no answer.
  host.ports[0].trial.direct = host::Answer::untried;
  CHECK(told(diagnose(host)) == tells_nothing + see);
  // Where the rules let it in, they explain nothing.
  host.others.chains.begin()->second.hook->policy_drop = false;
  CHECK(told(diagnose(host)).starts_with("problem: 0.0.0.0:8080/tcp fails: "));
}

TEST_CASE("doctor trial: a rule that a note tells of explains why the test client gets no answer") {
  Host host = host_of_one_port();
  host.probe = "npmprobe1";
  host.probe_addresses = {{Family::ipv4, *IpAddress::parse("198.18.113.254")}};
  host.ports[0].trial = {host::Answer::answered, host::Answer::silent};
  const nft::foreign::TableId table{NFPROTO_INET, "fw"};
  using Kind = nft::foreign::Verdict::Kind;
  const auto told_with = [&](const nft::foreign::Condition& accepted) {
    host.others.chains.clear();
    host.others.chains.emplace(
        nft::foreign::Name{table, "forward"},
        nft::foreign::Chain{table,
                            "forward",
                            1,
                            nft::foreign::Hook{"filter", NF_INET_FORWARD, 0, true},
                            {{5, {accepted}, {Kind::accept, {}}, std::nullopt}}});
    return told(diagnose(host));
  };
  const std::string note =
      "note: table inet fw, chain forward (handle 1): its policy drops packets";
  const nft::foreign::Blob friendly{198, 51, 100, 7};
  std::string text = told_with({.key = {{nft::foreign::PacketField::ip_saddr, "ip saddr", 4}},
                                .values = {{friendly, friendly}}});
  CHECK(text.starts_with(note));
  CHECK(text.find("test client") == std::string::npos);
  const std::string fails =
      ": 0.0.0.0:8080/tcp fails: a connection from a test client got no answer | it may be what a"
      " note above tells of; the container answers the host itself";
  // It may be a list of addresses, of which the test client's is none.
  text = told_with({.key = {{nft::foreign::PacketField::opaque, "-m set", 4}}});
  CHECK(text.starts_with(note));
  CHECK(text.find("\nnote" + fails) != std::string::npos);
  text = told_with({.key = {{nft::foreign::PacketField::opaque, "limit rate 1/second", 4}}});
  CHECK(text.starts_with(note));
  CHECK(text.find("\nproblem" + fails) != std::string::npos);
}
