// lib/config/lint: texts and facts in, findings out.
#include "lib/config/lint/lint.hpp"

#include <doctest/doctest.h>

using namespace portmapper;
using namespace portmapper::lint;

namespace {

// A line each: "PLACE level rule path: what".
std::string told(const Report& report) {
  std::string text;
  for (const Finding& finding : report.findings) {
    text += finding.file + ":" + std::to_string(finding.line) + ":" +
            std::to_string(finding.column) +
            (finding.level == Finding::Level::note ? " note " : " problem ");
    text += std::string(finding.rule) + " " + finding.path + ": " + finding.what + "\n";
    CHECK(!finding.why.empty());
    CHECK(!finding.fix.empty());
  }
  return text;
}

std::string told(const std::string& name, const std::string& text, const Facts& facts = {}) {
  return told(lint::lint({Source{name, text}}, facts));
}

// A list of these plugins, one a line from the second line on.
std::string list(const std::vector<std::string>& plugins) {
  std::string text = "{\"cniVersion\":\"1.0.0\",\"name\":\"web\",\"plugins\":[\n";
  for (const std::string& plugin : plugins)
    text += plugin + (&plugin == &plugins.back() ? "\n" : ",\n");
  return text + "]}\n";
}

const std::string bridge = R"({"type":"bridge","hairpinMode":true})";
const std::string ours = R"({"type":"nft-port-mapper","capabilities":{"portMappings":true}})";

std::string ours_with(const std::string& members) {
  return R"({"type":"nft-port-mapper","capabilities":{"portMappings":true},)" + members + "}";
}

}  // namespace

TEST_CASE("lint: of a list that is right there is nothing to say") {
  const Report report = lint::lint({Source{"a.conflist", list({bridge, ours})}}, {});
  CHECK(told(report) == "");
  CHECK(report.files == 1);
  CHECK(report.ours == 1);
  CHECK(format(report) == "no problems and no notes in 1 file\n");
  CHECK(format_json(report) == "{\"files\":1,\"ours\":1,\"findings\":[]}\n");
}

TEST_CASE("lint: what is found is printed with its place, its reason and what helps") {
  const Report report =
      lint::lint({Source{"a.conflist", list({bridge, ours_with(R"("excludedDevices":[])")})},
                  Source{"b.conf", "{\"type\":\"bridge\"}"}},
                 {});
  CHECK(format(report) ==
        "a.conflist:3:82: problem: plugins[1].excludedDevices is not a key of nft-port-mapper\n"
        "    why: it has no effect; excludeDevices was probably meant\n"
        "    fix: rename it to excludeDevices\n"
        "1 problem and no notes in 2 files, 1 of them with nft-port-mapper\n");
  CHECK(format_json(report) ==
        R"({"files":2,"ours":1,"findings":[{"level":"problem","rule":"unknown-key",)"
        R"("file":"a.conflist","line":3,"column":82,"path":"plugins[1].excludedDevices",)"
        R"("what":"plugins[1].excludedDevices is not a key of nft-port-mapper",)"
        R"("why":"it has no effect; excludeDevices was probably meant",)"
        R"("fix":"rename it to excludeDevices"}]})"
        "\n");
}

TEST_CASE("lint: a name that would act on a terminal is printed harmlessly") {
  const Report report = lint::lint({Source{"a\x1b[2J.conflist", list({bridge})}}, {});
  CHECK(told(report) == "");
  const Report broken = lint::lint({Source{"a\x1b[2J", "{"}}, {});
  CHECK(format(broken).starts_with("a?[2J:1:2: problem: it ends before its last object"));
}

TEST_CASE("lint: syntax errors, with the place") {
  struct Case {
    const char* text;
    const char* expected;
  };
  for (const auto& row : {
           Case{"", "f:1:1 problem syntax : it is empty\n"},
           {"{\n  \"name\": \"web\"\n  \"type\": \"x\"\n}\n",
            "f:2:11 problem syntax : it is not JSON, at byte 13: \"\\\"web\\\"\\n  \\\"type\\\": "
            "\\\"x\\\"\\n}\\n\"\n"},
           {"{\n  \"name\": \"web,\n  \"type\": \"x\"\n}\n",
            "f:2:16 problem syntax : it has a control character inside a string\n"},
           {"{\n  \"name\": \"web\",\n",
            "f:3:1 problem syntax : it ends before its last object or "
            "string does\n"},
           {"{\n}\n}\n",
            "f:3:1 problem syntax : it continues after its end, at byte 5: \"}\\n\"\n"},
           {"{\"type\":\"x\",\n \"type\":\"y\"}",
            "f:2:9 problem syntax : it has the key type twice\n"},
           {"\n[]", "f:2:1 problem syntax : it is an array, not an object\n"},
       }) {
    const auto& [text, expected] = row;
    INFO(row.text);
    CHECK(told("f", text) == expected);
  }
}

TEST_CASE("lint: without the capability the runtime hands no ports on") {
  const auto second = [](const std::string& plugin) { return told("f", list({bridge, plugin})); };
  CHECK(second(R"({"type":"nft-port-mapper"})") ==
        "f:3:1 problem capability plugins[1]: plugins[1] has no capabilities.portMappings\n");
  CHECK(second(R"({"type":"nft-port-mapper","capabilities":{}})") ==
        "f:3:1 problem capability plugins[1]: plugins[1] has no capabilities.portMappings\n");
  CHECK(second(R"({"type":"nft-port-mapper","capabilities":{"portMappings":false}})") ==
        "f:3:58 problem capability plugins[1].capabilities.portMappings: "
        "plugins[1].capabilities.portMappings: false is not true\n");
  // One finding, not two.
  CHECK(second(R"({"type":"nft-port-mapper","capability":{"portMappings":true}})") ==
        "f:3:40 problem unknown-key plugins[1].capability: "
        "plugins[1].capability is not a key of nft-port-mapper\n");
  CHECK(second(R"({"type":"nft-port-mapper","capabilities":{"portMapping":true}})") ==
        "f:3:57 problem unknown-key plugins[1].capabilities.portMapping: "
        "plugins[1].capabilities.portMapping is not a key of nft-port-mapper\n");
  CHECK(
      lint::lint({Source{"f", list({bridge, R"({"type":"nft-port-mapper","capability":{}})"})}}, {})
          .findings.at(0)
          .why ==
      "the runtime hands port mappings only to plugins that ask for them, so nothing is published;"
      " capabilities was probably meant");
}

TEST_CASE("lint: keys of ours that are unknown, near to a known one or not") {
  const auto second = [](const std::string& members) {
    return told("f", list({bridge, ours_with(members)}));
  };
  CHECK(second(R"("conditionV4":[],"chain":"C")") ==
        "f:3:78 problem unknown-key plugins[1].conditionV4: plugins[1].conditionV4 is not a key of "
        "nft-port-mapper\n");
  CHECK(second(R"("hairpinMode":true)") ==
        "f:3:78 note unknown-key plugins[1].hairpinMode: plugins[1].hairpinMode is not a key of "
        "nft-port-mapper\n");
  CHECK(second(R"("$comment":"x","_was":1,"example.com/owner":2,"comment":3,"//":4)") == "");
  const std::string entry = R"("runtimeConfig":{"portMappings":[{"HostPort":1,"ContainerPort":2,)";
  CHECK(second(entry + R"("Protocol":"tcp","hostIp":"","Label":""}]})") == "");
  CHECK(second(entry + R"("protocl":"udp"}]})") ==
        "f:3:139 problem unknown-key plugins[1].runtimeConfig.portMappings[0].protocl: "
        "plugins[1].runtimeConfig.portMappings[0].protocl is not a key of nft-port-mapper\n");
  CHECK(told("f", "{\"name\":\"n\",\"plugin\":[]}") ==
        "f:1:1 problem form : the configuration has no type\n"
        "f:1:22 problem unknown-key plugin: plugin is not a key of a list\n");
}

TEST_CASE("lint: the form of a list, and the name of its file") {
  CHECK(told("f", R"({"name":"n","plugins":{}})") ==
        "f:1:23 problem form plugins: plugins is an object, not a list\n");
  CHECK(told("f", R"({"name":"n","plugins":[]})") ==
        "f:1:23 problem form plugins: plugins is empty\n");
  CHECK(told("f", R"({"name":"n","plugins":["bridge",{"a":1}]})") ==
        "f:1:24 problem form plugins[0]: plugins[0] is \"bridge\"\n"
        "f:1:33 problem form plugins[1]: plugins[1] has no type\n");
  CHECK(told("f", R"({"name":"n","type":"nft-portmapper","prevResult":{}})") ==
        "f:1:20 problem type type: type: \"nft-portmapper\" is no plugin of ours\n");
  CHECK(told("a.conf", list({bridge, ours})) ==
        "a.conf:1:1 problem file-name : it is a list, and its name does not end in .conflist\n");
  CHECK(told("a.conflist", R"({"name":"n","type":"bridge"})") ==
        "a.conflist:1:1 problem file-name : its name ends in .conflist, and it has no list of "
        "plugins\n");
  CHECK(told("a.conf", R"({"name":"n","type":"bridge"})") == "");
  CHECK(told("a.conflist", R"({"name":"n"})") ==
        "a.conflist:1:1 note form : it has no list of plugins\n");
}

TEST_CASE("lint: other port mappers beside ours") {
  const std::string asks = R"(","capabilities":{"portMappings":true}})";
  CHECK(told("f", list({bridge, R"({"type":"portmap)" + asks, ours})) ==
        "f:3:1 problem port-mapper plugins[1]: plugins[1] is \"portmap\", a port mapper beside "
        "nft-port-mapper\n");
  CHECK(told("f", list({bridge, ours, R"({"type":"portmap"})"})) ==
        "f:4:1 problem port-mapper plugins[2]: plugins[2] is \"portmap\", a port mapper beside "
        "nft-port-mapper\n");
  CHECK(
      told("f", list({R"({"type":"cilium-cni)" + asks, ours})) ==
      "f:2:1 note port-mapper plugins[0]: plugins[0] (\"cilium-cni\") asks for the port mappings, "
      "too\n");
  CHECK(told("f", list({bridge, ours, ours})) ==
        "f:3:1 problem port-mapper plugins[1]: plugins[1] is nft-port-mapper, too\n");
  // Of networks without ours nothing is said.
  CHECK(told("f", list({R"({"type":"bridge","ipMasq":true})", R"({"type":"portmap)" + asks}),
             {.bridge_netfilter = true, .has_iptables = false, .has_plugin = false}) == "");
}

TEST_CASE("lint: a bridge without hairpinMode, where br_netfilter is on") {
  const Facts on{.bridge_netfilter = true};
  const std::string plain = R"({"type":"bridge"})";
  CHECK(told("f", list({plain, ours})) == "");
  CHECK(told("f", list({plain, ours}), on) ==
        "f:2:1 problem hairpin plugins[0]: plugins[0] is a bridge without hairpinMode, and "
        "br_netfilter is on\n");
  CHECK(told("f", list({bridge, ours}), on) == "");
  CHECK(told("f", list({R"({"type":"bridge","promiscMode":true})", ours}), on) == "");
  CHECK(told("f", list({R"({"type":"ptp"})", ours}), on) == "");
  CHECK(told("f",
             R"({"name":"n","type":"nft-port-mapper","chain":"C","delegate":{"type":"bridge"}})",
             on) ==
        "f:1:61 problem hairpin delegate: delegate is a bridge without hairpinMode, and "
        "br_netfilter is on\n");
}

TEST_CASE("lint: what ipMasq alone gives an effect") {
  CHECK(told("f", list({bridge, ours_with(R"("ipMasq":true,"snatAddress":"192.0.2.1")")})) == "");
  CHECK(told("f", list({bridge, ours_with(R"("nonMasqueradeCIDRs":["10.0.0.0/8"])")})) ==
        "f:3:85 note masquerade plugins[1].nonMasqueradeCIDRs: plugins[1].nonMasqueradeCIDRs is "
        "there "
        "without \"ipMasq\": true\n");
}

TEST_CASE("lint: ipMasq where there is no iptables") {
  const Facts without{.has_iptables = false};
  const auto first = [](const std::string& members, const Facts& facts) {
    return told("f", list({"{" + members + "}", ours}), facts);
  };
  const std::string found =
      "problem masquerade plugins[0].ipMasq: plugins[0].ipMasq is true, and there is no iptables "
      "in "
      "PATH\n";
  CHECK(first(R"("type":"bridge","ipMasq":true)", {}) == "");
  CHECK(first(R"("type":"bridge","ipMasq":true)", without) == "f:2:27 " + found);
  CHECK(first(R"("type":"ptp","ipMasq":true)", without) == "f:2:24 " + found);
  CHECK(first(R"("type":"bridge","ipMasq":false)", without) == "");
  CHECK(first(R"("type":"bridge","ipMasq":true,"ipMasqBackend":"nftables")", without) == "");
  CHECK(first(R"("type":"macvlan","ipMasq":true)", without) == "");
}

TEST_CASE("lint: who makes the interface has to stand before ours") {
  CHECK(told("f", list({ours, bridge})) ==
        "f:2:1 problem order plugins[0]: plugins[0] stands before plugins[1] (\"bridge\"), which "
        "makes the interface\n");
  CHECK(told("f", list({R"({"type":"loopback"})", ours})) ==
        "f:3:1 problem order plugins[1]: no plugin before plugins[1] makes the interface\n");
  CHECK(told("f", list({R"({"type":"loopback"})", bridge, R"({"type":"tuning"})", ours})) == "");
  CHECK(told("f", list({ours_with(R"("chain":"C","delegate":{"type":"ptp"})")})) == "");
  CHECK(
      told("f", R"({"name":"n","type":"nft-port-mapper","capabilities":{"portMappings":true}})") ==
      "f:1:1 problem order : nothing makes the interface\n");
  // As a runtime hands it on.
  CHECK(told("f", R"({"name":"n","type":"nft-port-mapper","prevResult":{}})") == "");
}

TEST_CASE("lint: what an ADD refuses") {
  CHECK(
      told("f", list({bridge, ours_with(R"("snat":1,"chain":"ip")")})) ==
      "f:3:1 problem value plugins[1]: plugins[1]: chain: \"ip\" is a word of nft's own language; "
      "snat: 1 is not true or false\n");
  CHECK(told("f", R"({"name":"n","type":"nft-port-mapper","delegate":{"type":"bridge"}})") ==
        "f:1:1 problem value : chain is missing: a configuration with a delegate must name its nft "
        "chain\n");
  CHECK(told("f", "{\"plugins\":[" + bridge + "," + ours + "]}") ==
        "f:1:50 problem value plugins[1]: plugins[1]: name is missing\n");
}

TEST_CASE("lint: a chain that two networks restrict differently") {
  const auto network = [](const std::string& file, const std::string& name,
                          const std::string& members) {
    return Source{file, R"({"name":")" + name +
                            R"(","type":"nft-port-mapper","delegate":{"type":"ptp"},"chain":"C")" +
                            members + "}"};
  };
  const auto compare = [&](const std::string& first, const std::string& second) {
    return told(lint::lint({network("a", "x", first), network("b", "y", second)}, {}));
  };
  const std::string found =
      "b:1:72 problem chain chain: chain C is named by network x in a, too, with other ";
  CHECK(compare("", "") == "");
  CHECK(compare("", R"(,"excludeDevices":["lo"])") == found + "excludeDevices\n");
  CHECK(compare(R"(,"excludeDevices":["a","b"])", R"(,"excludeDevices":["b","a","b"])") == "");
  CHECK(compare(R"(,"excludeDevices":["a*","ab"])", R"(,"excludeDevices":["a*"])") == "");
  CHECK(compare(R"(,"excludeAddresses":["10.0.0.1/8"])", R"(,"excludeAddresses":["10.0.0.0/8"])") ==
        "");
  CHECK(compare(R"(,"excludeAddresses":["fd00::/8"])", R"(,"excludeAddresses":["10.0.0.0/8"])") ==
        found + "excludeAddresses\n");
  CHECK(compare(R"(,"conditionsV4":["tcp dport 80"])",
                R"(,"conditionsV4":["tcp dport 81"],"conditionsV6":["tcp dport 81"])") ==
        found + "conditionsV4, conditionsV6\n");
  CHECK(lint::lint({network("a", "x", ""), network("b", "x", R"(,"excludeDevices":["lo"])")}, {})
            .findings.at(0)
            .why == "each ADD puts its own restrictions in place of the other's, for all ports");
  // Without `chain` a network with restrictions has one of its own.
  const std::string own = list({bridge, ours_with(R"("excludeDevices":["lo"])")});
  CHECK(told(lint::lint({Source{"a", own}, Source{"b", list({bridge, ours})}}, {})) == "");
}

TEST_CASE("lint: a program that is not where runtimes look") {
  CHECK(told("f", list({bridge, ours}), {.has_plugin = false}) ==
        "f:3:1 problem program plugins[1]: no directory of CNI_PATH has an executable file "
        "nft-port-mapper\n");
}
