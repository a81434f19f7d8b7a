// nft/trace/event and lib/app/trace: events as a kernel sent them (Linux 6.18), and what is made of them.
#include <doctest/doctest.h>
#include <linux/netfilter.h>

#include "lib/app/trace/format.hpp"
#include "nft/trace/table.hpp"
#include "tests/support/replies.hpp"

using namespace portmapper;
using namespace portmapper::test;
using namespace portmapper::trace;
using nft::foreign::Verdict;

namespace {

const std::string own = "nft-port-mapper-trace-1";
constexpr std::uint32_t lan = 2;
constexpr std::uint32_t bridge = 3;

std::optional<Event> parse(std::uint8_t family, const Attrs& attributes) {
  Buffer bytes(sizeof(nlmsghdr));
  const nfgenmsg general{.nfgen_family = family, .version = 0, .res_id = 0};
  const auto* at = reinterpret_cast<const std::uint8_t*>(&general);
  bytes.insert(bytes.end(), at, at + sizeof general);
  bytes.insert(bytes.end(), attributes.bytes().begin(), attributes.bytes().end());
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(bytes.size());
  header.nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_TRACE;
  std::memcpy(bytes.data(), &header, sizeof header);
  return nft::trace::parse_event(*reinterpret_cast<const nlmsghdr*>(bytes.data()));
}

Header head(const std::string& source, std::uint16_t source_port, const std::string& destination,
            std::uint16_t destination_port, std::uint32_t input, std::uint32_t output,
            std::uint8_t flags = 0x02) {
  return {.source = *IpAddress::parse(source),
          .destination = *IpAddress::parse(destination),
          .protocol = 6,
          .source_port = source_port,
          .destination_port = destination_port,
          .tcp_flags = flags,
          .input = input,
          .output = output};
}

const Header asked = head("192.0.2.2", 5000, "192.0.2.1", 8080, lan, 0);
const Header routed = head("192.0.2.2", 5000, "10.22.0.2", 80, lan, 0);
const Header forwarded = head("192.0.2.2", 5000, "10.22.0.2", 80, lan, bridge);

Chains chains() {
  Chains all;
  const auto add = [&all](const std::string& table, const std::string& chain, const char* type,
                          std::uint32_t hook, std::int32_t priority) {
    const nft::foreign::Name name{{NFPROTO_INET, table}, chain};
    all[name] = {.table = name.first,
                 .name = chain,
                 .hook = nft::foreign::Hook{type, hook, priority, false}};
  };
  add("nft-port-mapper", "localnet-guard", "filter", NF_INET_PRE_ROUTING, -300);
  add("nft-port-mapper", "prerouting", "nat", NF_INET_PRE_ROUTING, -99);
  add("filter", "forward", "filter", NF_INET_FORWARD, 0);
  return all;
}

class Recording {
 public:
  // A rule of a table of family inet.
  Recording& rule(std::uint32_t packet, const std::string& table, const std::string& chain,
                  const Verdict& verdict, std::optional<Header> header = {}) {
    ways.see({.packet = packet,
              .kind = Event::Kind::rule,
              .chain = {{NFPROTO_INET, table}, chain},
              .handle = 7,
              .verdict = verdict,
              .header = header});
    return *this;
  }
  Recording& policy(std::uint32_t packet, const std::string& table, const std::string& chain,
                    Verdict::Kind kind, std::optional<Header> header = {}) {
    ways.see({.packet = packet,
              .kind = Event::Kind::policy,
              .chain = {{NFPROTO_INET, table}, chain},
              .verdict = {kind},
              .header = header});
    return *this;
  }
  Recording& mark(std::uint32_t packet, const std::string& chain, const Header& header) {
    return policy(packet, own, chain, Verdict::Kind::accept, header);
  }
  // As it comes from lan0, until it is translated.
  Recording& arrival(std::uint32_t packet) {
    rule(packet, own, "request", {}, asked);
    policy(packet, own, "prerouting-first", Verdict::Kind::accept);
    rule(packet, "nft-port-mapper", "prerouting", {Verdict::Kind::go, "any-address"}, asked);
    rule(packet, "nft-port-mapper", "hostports", {Verdict::Kind::accept});
    return mark(packet, "prerouting-last", routed);
  }

  Ways ways{own, chains()};
};

Known known() {
  Known facts{.protocol = Protocol::tcp, .port = *Port::from(8080)};
  facts.publishers = {{{IpAddress::any(Family::ipv4), Protocol::tcp, *Port::from(8080)},
                       nft::Endpoint{*IpAddress::parse("10.22.0.2"), *Port::from(80)},
                       "abc",
                       "web",
                       "eth0"}};
  facts.devices = {{lan, "lan0"}, {bridge, "cni0"}};
  facts.forwards = 1;
  return facts;
}

Story story_of(const Ways& ways) {
  const std::size_t request = ways.requests().at(0);
  Story story{1, ways.packets()[request]};
  if (const auto answer = ways.answer_to(request)) story.answer = ways.packets()[*answer];
  return story;
}

std::string told(const Recording& recording, const Known& facts = known()) {
  const Conclusion conclusion = conclude(story_of(recording.ways), facts);
  std::string text = conclusion.kind;
  for (const std::string& sentence : conclusion.sentences) text += " | " + sentence;
  return text + (conclusion.command.empty() ? "" : " | " + conclusion.command);
}

}  // namespace

TEST_CASE("trace: an event with the packet's headers, as the kernel sends it") {
  const Attrs attributes =
      Attrs()
          .number(NFTA_TRACE_NFPROTO, 2)
          .number(NFTA_TRACE_TYPE, NFT_TRACETYPE_RULE)
          .put(NFTA_TRACE_ID, unhex("e01d5423"))
          .text(NFTA_TRACE_CHAIN, "request")
          .text(NFTA_TRACE_TABLE, own)
          .put(NFTA_TRACE_RULE_HANDLE, unhex("0000000000000012"))
          .nest(NFTA_TRACE_VERDICT, Attrs().put(NFTA_VERDICT_CODE, unhex("ffffffff")))
          .number(NFTA_TRACE_IIF, 2)
          .put(NFTA_TRACE_NETWORK_HEADER,
               unhex("45 00 00 3c 4a be 40 00 40 06 6b fa c0 00 02 02 c0 00 02 01"))
          .put(NFTA_TRACE_TRANSPORT_HEADER,
               unhex("13 88 1f 90 b9 59 a9 68 00 00 00 00 a0 02 fa f0 84 32 00 00"));
  const Event expected{.packet = 0xe01d5423,
                       .kind = Event::Kind::rule,
                       .chain = {{NFPROTO_INET, own}, "request"},
                       .handle = 0x12,
                       .verdict = {},
                       .header = asked};
  const auto event = parse(NFPROTO_INET, attributes);
  REQUIRE(event);
  CHECK(event->packet == expected.packet);
  CHECK(event->kind == expected.kind);
  CHECK(event->chain == expected.chain);
  CHECK(event->handle == expected.handle);
  CHECK(event->verdict.kind == Verdict::Kind::none);
  CHECK(event->header == expected.header);
}

TEST_CASE("trace: events of policies, queues and other messages; ICMP and what is cut short") {
  const auto policy = parse(
      NFPROTO_IPV4,
      Attrs().number(NFTA_TRACE_TYPE, NFT_TRACETYPE_POLICY).number(NFTA_TRACE_POLICY, NF_DROP));
  REQUIRE(policy);
  CHECK(policy->kind == Event::Kind::policy);
  CHECK(policy->verdict.kind == Verdict::Kind::drop);
  CHECK(!policy->header);
  const auto verdict = [](const char* code) {
    return parse(NFPROTO_IPV4,
                 Attrs()
                     .number(NFTA_TRACE_TYPE, NFT_TRACETYPE_RULE)
                     .nest(NFTA_TRACE_VERDICT, Attrs().put(NFTA_VERDICT_CODE, unhex(code))))
        ->verdict.kind;
  };
  CHECK(verdict("00070003") == Verdict::Kind::queue);  // the number of the queue
  CHECK(verdict("ff8f0000") == Verdict::Kind::none);
  CHECK(verdict("00000001") == Verdict::Kind::accept);
  CHECK(!parse(NFPROTO_IPV4, Attrs()));
  const auto with = [](const char* network, const char* transport) {
    return parse(NFPROTO_IPV4, Attrs()
                                   .number(NFTA_TRACE_TYPE, NFT_TRACETYPE_RULE)
                                   .put(NFTA_TRACE_NETWORK_HEADER, unhex(network))
                                   .put(NFTA_TRACE_TRANSPORT_HEADER, unhex(transport)))
        ->header;
  };
  const std::string icmp = "45 00 00 3c 4a be 40 00 40 01 6b fa c0 00 02 02 c0 00 02 01";
  CHECK(with(icmp.c_str(), "03 01")->icmp_type == 3);
  CHECK(with(icmp.c_str(), "03 01")->icmp_code == 1);
  CHECK(with(icmp.c_str(), "03")->icmp_type == 0);
  CHECK(!with("45 00", ""));
  CHECK(!with("95 00 00 3c 4a be 40 00 40 01 6b fa c0 00 02 02 c0 00 02 01", ""));
}

TEST_CASE("trace: a policy drops") {
  Recording recording;
  recording.arrival(1)
      .mark(1, "forward-first", forwarded)
      .policy(1, "filter", "forward", Verdict::Kind::drop, forwarded);
  CHECK(told(recording) ==
        "dropped | Dropped in forward, by the policy (drop) of chain forward of table inet filter:"
        " none of its rules accepted it. | nft -a list chain inet filter forward");
  const Story story = story_of(recording.ways);
  CHECK(format({story, conclude(story, known())}, known()) == R"(
Packet 1: 192.0.2.2:5000 to 192.0.2.1:8080/tcp (SYN)

  prerouting, from lan0
    inet nft-port-mapper, chain prerouting (nat, priority -99)
      rule handle 7 (nft -a list chain inet nft-port-mapper prerouting shows it)  [goto any-address]
      chain hostports: rule handle 7 (nft -a list chain inet nft-port-mapper hostports shows it)  [accept]
    destination is now 10.22.0.2:80
  forward, from lan0 to cni0
    inet filter, chain forward (filter, priority 0)
      no rule decides  [policy drop]

Dropped in forward, by the policy (drop) of chain forward of table inet filter: none of its rules accepted it.
To see more: nft -a list chain inet filter forward
)");
}

TEST_CASE("trace: where nothing of nftables dropped it, in a hook and behind one") {
  Recording lost;
  lost.arrival(1);
  CHECK(
      told(lost) ==
      "lost | Lost behind prerouting: the kernel did not let it go on to 10.22.0.2:80 (container"
      " abc). | No route leads there, forwarding is off on lan0, or rp_filter refuses 192.0.2.2 as"
      " a source there. | ip route get 10.22.0.2 from 192.0.2.2 iif lan0");
  Known facts = known();
  facts.forwards = 0;
  CHECK(told(lost, facts).find("net.ipv4.ip_forward is 0") != std::string::npos);
  lost.mark(1, "forward-first", forwarded);
  facts.legacy = {"filter", "nat"};
  CHECK(told(lost, facts) ==
        "lost | Lost in forward, where no rule of nftables dropped it. | iptables-legacy has tables"
        " here (filter, nat), whose rules drop without a trace. | iptables-legacy-save -c");
}

TEST_CASE("trace: a queue's packet that goes on was not lost in the queue") {
  Recording recording;
  recording.arrival(1).mark(1, "forward-first", forwarded);
  recording.rule(1, "filter", "forward", {Verdict::Kind::queue}, forwarded);
  CHECK(told(recording).starts_with("queued | Given to a program in forward, by a queue rule of"));
  recording.mark(1, "forward-last", forwarded).mark(1, "postrouting-first", forwarded);
  recording.mark(1, "postrouting-last", forwarded);
  CHECK(told(recording).starts_with("silent | It left through cni0 to 10.22.0.2:80"));
}

TEST_CASE("trace: an answer is told apart by its addresses, and a reset is a refusal") {
  Recording recording;
  recording.arrival(1).mark(1, "forward-first", forwarded).mark(1, "forward-last", forwarded);
  recording.mark(1, "postrouting-first", forwarded).mark(1, "postrouting-last", forwarded);
  // Another client's.
  recording.rule(8, own, "answer", {}, head("10.22.0.2", 80, "192.0.2.3", 5000, bridge, 0, 0x12));
  CHECK(told(recording).starts_with("silent"));
  const Header reset = head("10.22.0.2", 80, "192.0.2.2", 5000, bridge, 0, 0x14);
  const Header back = head("192.0.2.1", 8080, "192.0.2.2", 5000, bridge, lan, 0x14);
  recording.rule(9, own, "answer", {}, reset).mark(9, "prerouting-last", reset);
  CHECK(told(recording).starts_with("answer-lost"));
  recording.mark(9, "postrouting-first", back).mark(9, "postrouting-last", back);
  CHECK(
      told(recording) ==
      "refused | It left through cni0 to 10.22.0.2:80 (container abc). | Refused: 10.22.0.2"
      " answered with a reset. | Nobody listens on port 80 of 10.22.0.2: the program does not run,"
      " listens on another port, or on its 127.0.0.1 alone.");
}

TEST_CASE("trace: a connection that is older is not asked about, an earlier DNAT is named") {
  Recording older;
  older.rule(1, own, "request", {}, asked);
  older.policy(1, "nft-port-mapper", "localnet-guard", Verdict::Kind::accept, asked);
  older.mark(1, "prerouting-last", asked).mark(1, "input-first", asked);
  older.mark(1, "input-last", asked);
  const std::string delivered =
      "silent | It was delivered to this host itself, at 192.0.2.1:8080, not to a container; no"
      " process of the host listens there. | ";
  CHECK(told(older) ==
        delivered +
            "No rule was asked how to translate it: it belongs to a connection that is"
            " older, and goes where that one's first packet went. | No answer of a tracked"
            " connection was seen.");
  Recording dormant;
  dormant.rule(1, own, "request", {}, asked).mark(1, "prerouting-last", asked);
  dormant.mark(1, "input-first", asked).mark(1, "input-last", asked);
  CHECK(told(dormant) ==
        delivered +
            "The published port's own rules were not asked: their table is dormant, or not"
            " whole. | No answer of a tracked connection was seen. |"
            " nft-port-mapperctl check --repair");
  Chains with_other = chains();
  const nft::foreign::Name other{{NFPROTO_IPV4, "other"}, "pre"};
  with_other[other] = {.table = other.first,
                       .name = other.second,
                       .hook = nft::foreign::Hook{"nat", NF_INET_PRE_ROUTING, -100, false}};
  Recording recording;
  recording.ways = Ways(own, with_other);
  recording.rule(1, own, "request", {}, asked);
  recording.ways.see({.packet = 1,
                      .chain = other,
                      .handle = 3,
                      .verdict = {Verdict::Kind::accept},
                      .header = asked});
  recording.mark(1, "prerouting-last", head("192.0.2.2", 5000, "10.9.9.9", 81, lan, 0));
  CHECK(
      told(recording) ==
      "lost | Lost behind prerouting: the kernel did not let it go on to 10.9.9.9:81. | No route"
      " leads there, forwarding is off on lan0, or rp_filter refuses 192.0.2.2 as a source there. |"
      " Chain pre of table ip other translated it to 10.9.9.9:81 before the published port's own"
      " rules were asked: they come later. | nft -a list chain ip other pre");
}

TEST_CASE("trace: what nobody in nftables translated, iptables-legacy or something else did") {
  Recording recording;
  recording.rule(1, own, "request", {}, asked);
  recording.mark(1, "prerouting-last", head("192.0.2.2", 5000, "10.9.9.9", 81, lan, 0));
  CHECK(told(recording) ==
        "lost | Lost behind prerouting: the kernel did not let it go on to 10.9.9.9:81. | No route"
        " leads there, forwarding is off on lan0, or rp_filter refuses 192.0.2.2 as a source there."
        " | Something outside nftables translated it to 10.9.9.9:81 before the published port's own"
        " rules were asked: they come later. | ip route get 10.9.9.9 from 192.0.2.2 iif lan0");
}

TEST_CASE("trace: another trace beside this one is no part of the way") {
  Recording recording;
  const std::string other = "nft-port-mapper-trace-9";
  recording.arrival(1).rule(1, other, "prerouting-last", {}, routed);
  recording.mark(1, "forward-first", forwarded).mark(1, "forward-last", forwarded);
  recording.mark(1, "postrouting-first", forwarded).mark(1, "postrouting-last", forwarded);
  recording.policy(1, other, "postrouting-last", Verdict::Kind::accept, forwarded);
  CHECK(told(recording).starts_with(
      "silent | It left through cni0 to 10.22.0.2:80 (container abc). | No answer came back"));
}

TEST_CASE("trace: a redirect is no answer") {
  Recording recording;
  recording.arrival(1).mark(1, "forward-first", forwarded).mark(1, "forward-last", forwarded);
  recording.mark(1, "postrouting-first", forwarded).mark(1, "postrouting-last", forwarded);
  const Header redirect{.source = *IpAddress::parse("192.0.2.1"),
                        .destination = *IpAddress::parse("192.0.2.2"),
                        .protocol = nft::trace::kIcmp,
                        .icmp_type = 5};
  recording.rule(2, own, "answer", {}, redirect);
  CHECK(told(recording) ==
        "silent | It left through cni0 to 10.22.0.2:80 (container abc). | No answer came back:"
        " nothing is at 10.22.0.2, it drops the packet, or its answer takes another way. |"
        " nft-port-mapperctl doctor");
}

TEST_CASE("trace: the kernel uses a packet's number again for a later one") {
  Recording recording;
  recording.arrival(1).arrival(1);
  CHECK(recording.ways.requests().size() == 2);
  CHECK(recording.ways.packets()[0].passages.size() == 1);
  CHECK(recording.ways.packets()[1].passages.size() == 1);
}

TEST_CASE("trace: packets that others trace are passed over") {
  Recording recording;
  recording.policy(5, "filter", "forward", Verdict::Kind::drop, forwarded);
  recording.mark(5, "forward-last", forwarded);
  CHECK(recording.ways.packets().empty());
}

TEST_CASE("trace: names that others chose reach no terminal and no command") {
  Recording recording;
  recording.arrival(1).mark(1, "forward-first", forwarded);
  recording.policy(1, "x\033[2J", "a; reboot", Verdict::Kind::drop, forwarded);
  CHECK(told(recording) ==
        "dropped | Dropped in forward, by the policy (drop) of chain a; reboot of table inet x?[2J:"
        " none of its rules accepted it.");
}

TEST_CASE("trace: marks are the chains of its own table") {
  CHECK(nft::trace::table_name(4711) == "nft-port-mapper-trace-4711");
  CHECK(nft::trace::mark_of("request")->kind == nft::trace::Mark::Kind::request);
  CHECK(nft::trace::mark_of("input-last")->hook == NF_INET_LOCAL_IN);
  CHECK(!nft::trace::mark_of("prerouting-answers"));
  CHECK(!nft::trace::mark_of("input"));
}
