// lib/config/list_edit: ours into the lists of others, and out of them again.
#include "lib/config/list_edit.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>

#include "lib/json/document.hpp"

using namespace portmapper;
using namespace portmapper::config;

namespace {

std::string recorded(const std::string& name) {
  std::ifstream file(std::string(SHARED_INPUTS) + "/lists/" + name, std::ios::binary);
  REQUIRE(file);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The one place of `from`, replaced.
std::string with(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  REQUIRE(text.find(from, at + 1) == std::string::npos);
  return text.replace(at, from.size(), to);
}

ListEdit edited(const std::string& text, Missing missing = Missing::refuse) {
  Result<ListEdit> edit = with_ours(text, "a.conflist", missing);
  REQUIRE(edit);
  return *std::move(edit);
}

std::string refused(const std::string& text, Missing missing = Missing::refuse) {
  const Result<ListEdit> edit = with_ours(text, "a.conflist", missing);
  REQUIRE_FALSE(edit);
  CHECK(edit.error().kind == ErrorKind::invalid_input);
  return edit.error().message();
}

std::string undone(const std::string& text, const std::string& original) {
  Result<std::string> before = without_ours(text, original, "a.conflist", "its record");
  REQUIRE(before);
  return *std::move(before);
}

}  // namespace

TEST_CASE(
    "list edit: in the lists of others nothing changes but portmap's name, and it comes back") {
  for (const char* name : {"10-flannel.conflist", "10-calico.conflist", "10-flannel-k3s.conflist",
                           "10-azure.conflist"}) {
    CAPTURE(name);
    const std::string original = recorded(name);
    const ListEdit edit = edited(original);
    CHECK(edit.change == ListEdit::Change::replaced);
    CHECK(edit.text == with(original, "\"portmap\"", "\"nft-port-mapper\""));
    CHECK(undone(edit.text, original) == original);
    CHECK(edited(edit.text).change == ListEdit::Change::none);
    CHECK(edited(edit.text).text == edit.text);
  }
}

TEST_CASE("list edit: an entry is added behind the last plugin only if asked, indented as that") {
  const std::string original = recorded("05-cilium.conflist");
  CHECK(refused(original) ==
        "a.conflist has no entry of the type portmap to replace; with --add nft-port-mapper is put"
        " behind its last plugin");
  const ListEdit edit = edited(original, Missing::add);
  CHECK(edit.change == ListEdit::Change::added);
  CHECK(edit.text == with(original, "cilium-cni.log\"\n    }",
                          "cilium-cni.log\"\n    },\n    { \"type\": \"nft-port-mapper\","
                          " \"capabilities\": { \"portMappings\": true } }"));
  CHECK(json::Document::parse(edit.text, "it"));
  CHECK(undone(edit.text, original) == original);
}

TEST_CASE(
    "list edit: where others changed the list since, only ours goes, and their change stays") {
  const std::string flannel = recorded("10-flannel.conflist");
  const std::string newer = with(edited(flannel).text, "\"cbr0\"", "\"cbr1\"");
  CHECK(undone(newer, flannel) == with(flannel, "\"cbr0\"", "\"cbr1\""));
  const std::string cilium = recorded("05-cilium.conflist");
  const std::string debug = with(edited(cilium, Missing::add).text, "false", "true");
  CHECK(undone(debug, cilium) == with(cilium, "false", "true"));
  // Whoever wrote it anew left ours out already.
  CHECK(undone(with(flannel, "\"cbr0\"", "\"cbr1\""), flannel) ==
        with(flannel, "\"cbr0\"", "\"cbr1\""));
}

TEST_CASE("list edit: ours is taken out of a list in which it came to stand first") {
  const std::string original = R"({"plugins":[{"type":"bridge"}]})";
  const std::string ours = R"({"type":"nft-port-mapper"})";
  CHECK(undone(R"({"plugins":[ )" + ours + R"( , {"type":"macvlan"} ]})", original) ==
        R"({"plugins":[ {"type":"macvlan"} ]})");
  const Result<std::string> alone =
      without_ours(R"({"plugins":[)" + ours + "]}", original, "a.conflist", "its record");
  REQUIRE_FALSE(alone);
  CHECK(alone.error().message() ==
        "a.conflist has no other plugin than nft-port-mapper: without it, it is no list");
}

TEST_CASE(
    "list edit: what looks like portmap elsewhere is not touched, and an escaped name is found") {
  const std::string text =
      R"({ "name" : "portmap", "plugins":[{"type":"bridge","portmap":"portmap","ipam":{"type":"portmap"}},)"
      R"({"x":"\u007d]\"","type" :  "port\u006dap" }] , "later": {"type":"portmap"}})";
  const ListEdit edit = edited(text);
  CHECK(edit.text == with(text, R"("port\u006dap")", R"("nft-port-mapper")"));
  CHECK(undone(edit.text, text) == text);
  // And its own spelling comes back into what somebody changed meanwhile.
  CHECK(undone(with(edit.text, "later", "since"), text) == with(text, "later", "since"));
}

TEST_CASE("list edit: what is no list, or not a clear one, is refused with what would be right") {
  CHECK(refused(R"({"type":"portmap"})") ==
        "a.conflist has no list of plugins: nft-port-mapper needs one, in a file that ends in"
        " .conflist, behind the plugin that makes the interface");
  CHECK(
      refused(R"({"plugins":[]})", Missing::add) ==
      "a.conflist: plugins is empty; the plugin that makes the interface has to stand there first");
  CHECK(refused(R"({"plugins":[{"type":"portmap"},{"type":"portmap"}]})") ==
        "a.conflist has 2 entries of the type portmap; keep one of them");
  CHECK(refused(R"({"plugins":[{"type":"portmap"})") ==
        "a.conflist ends before its last object or string does");
  const Result<std::string> twice =
      without_ours(R"({"plugins":[{"type":"nft-port-mapper"},{"type":"nft-port-mapper"}]})",
                   R"({"plugins":[{"type":"portmap"}]})", "a.conflist", "its record");
  REQUIRE_FALSE(twice);
  CHECK(twice.error().message() ==
        "a.conflist has 2 entries of the type nft-port-mapper; keep one of them");
}

TEST_CASE("list edit: ours and portmap in one list are refused, and ours goes out from beside it") {
  const std::string both =
      R"({"plugins":[{"type":"bridge"},{"type":"nft-port-mapper"},{"type":"portmap"}]})";
  CHECK(refused(both) ==
        "a.conflist has entries of both types, nft-port-mapper and portmap, which publish the same"
        " ports; remove that of portmap");
  CHECK(undone(both, R"({"plugins":[{"type":"bridge"},{"type":"portmap"}]})") ==
        R"({"plugins":[{"type":"bridge"},{"type":"portmap"}]})");
  CHECK(undone(both, R"({ "plugins":[{"type":"bridge"}]})") ==
        R"({"plugins":[{"type":"bridge"},{"type":"portmap"}]})");
}

TEST_CASE("list edit: no entry is added behind a plugin that calls portmap or ours itself") {
  for (const std::string type : {"portmap", "nft-port-mapper"}) {
    const std::string list =
        R"({"plugins":[{"type":"multus","delegates":[{"plugins":[{"type":"flannel"},{"type":")" +
        type + R"("}]}]}]})";
    CHECK(refused(list, Missing::add) ==
          "a.conflist: plugins[0].delegates[0].plugins[1].type is \"" + type +
              "\" already, and an entry behind it would publish the same ports; a plugin in another"
              " one's configuration is to be replaced by hand");
  }
}

TEST_CASE("list edit: an original that is damaged is named as what it is") {
  const Result<std::string> undone =
      without_ours(R"({"plugins":[{"type":"nft-port-mapper"}]})", "{", "a.conflist", "its record");
  REQUIRE_FALSE(undone);
  CHECK(undone.error().message() == "its record ends before its last object or string does");
}

TEST_CASE("list edit: the other plugins of a list are its entries' types") {
  const Result<std::vector<std::string>> types = other_plugins(
      R"({"plugins":[{"type":"flannel","delegate":{"type":"bridge"}},{"type":"portmap"},{},)"
      R"({"type":"nft-port-mapper"},{"type":"bandwidth"}]})",
      "a.conflist");
  REQUIRE(types);
  CHECK(*types == std::vector<std::string>{"flannel", "bandwidth"});
}
