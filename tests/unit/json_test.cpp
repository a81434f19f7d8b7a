#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "lib/base/escape.hpp"
#include "lib/json/document.hpp"
#include "lib/json/read.hpp"
#include "lib/json/skip.hpp"
#include "lib/json/text.hpp"
#include "lib/json/writer.hpp"

using namespace portmapper;
using namespace std::string_literals;

namespace {

std::string parse_error(std::string_view text) {
  const Result<json::Document> document = json::Document::parse(text, "it");
  return document ? "no error" : document.error().message();
}

json::Document parsed(std::string_view text) {
  Result<json::Document> document = json::Document::parse(text, "it");
  REQUIRE(document);
  return *std::move(document);
}

std::string repeated(std::string_view part, std::size_t times) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += part;
  return text;
}

struct Case {
  std::string text;
  std::string expected;
};

}  // namespace

TEST_CASE("the place of what is wrong with a text, for somebody who edits it") {
  const auto place = [](std::string_view text) {
    std::size_t offset = 1000;
    CHECK_FALSE(json::Document::parse(text, "it", &offset));
    return offset;
  };
  CHECK(place("") == 0);
  CHECK(place("\n []") == 2);
  CHECK(place(R"({"a":1 "b":2})") == 5);
  CHECK(place(R"({"a":1,})") == 5);
  CHECK(place(R"({"a":tru})") == 5);
  CHECK(place("{}\n}") == 3);
  CHECK(place("{\"a\":\"x") == 7);
  CHECK(place("{\"a\":\"\\\"x\n\"}") == 9);  // a quote inside the string does not end it
  CHECK(place("{\"a\":\"\xff\"}") == 6);
  CHECK(place(std::string_view("{\"a\":\0}", 7)) == 5);
  CHECK(place(R"({"a":1,"b":{"c":1,"c":2}})") == 22);
  std::size_t untouched = 7;
  CHECK(json::Document::parse("{}", "it", &untouched));
  CHECK(untouched == 7);
  const json::Document document = parsed(" {\"a\": [1, {\"b\":2}]}");
  CHECK(document.root().offset() == 1);
  CHECK(document.root().member("a").offset() == 7);
  CHECK(json::Value().offset() == 0);
}

TEST_CASE("what is not one JSON object is refused in one sentence") {
  const std::vector<Case> cases = {
      {"", "it is empty"},
      {" \n\t", "it is empty"},
      {"[]", "it is an array, not an object"},
      {"\"x\"", "it is a string, not an object"},
      {"null", "it is null, not an object"},
      {"true", "it is a boolean, not an object"},
      {" 3.5 ", "it is a number, not an object"},
      {"nul", "it is not JSON, at byte 1: \"nul\""},
      {"{}x", "it continues after its end, at byte 3: \"x\""},
      {"{\"a\":1}}", "it continues after its end, at byte 8: \"}\""},
      {"{}{}", "it continues after its end, at byte 3: \"{}\""},
      {"{\"a\":1", "it ends before its last object or string does"},
      {"{\"a\":\"x", "it ends before its last object or string does"},
      {"{\"a\":[1}", "it ends before its last object or string does"},
      {"{\"a\":tru}", "it is not JSON, at byte 6: \"tru}\""},
      {"{\"a\":1,}", "it is not JSON, at byte 6: \"1,}\""},
      {"{,}", "it is not JSON, at byte 1: \"{,}\""},
      {"{\"a\":}", "it is not JSON, at byte 6: \"}\""},
      {"{\"a\" 1}", "it is not JSON, at byte 1: \"{\\\"a\\\" 1}\""},
      {"{\"a\":[1,,2]}", "it is not JSON, at byte 9: \",2]}\""},
      {"{\"a\":[\"b\":1],2]}", "it continues after its end, at byte 16: \"}\""},
      {"{\"a\":[\"b\":1]}", "it is not JSON, at byte 7: \"\\\"b\\\":1]}\""},
      {"{\"a\":\"b\":1}", "it is not JSON, at byte 6: \"\\\"b\\\":1}\""},
      {"{\"a\":1 2}", "it is not JSON, at byte 6: \"1 2}\""},
      {"{\"a\":01}", "it is not JSON, at byte 6: \"01}\""},
      {"{\"a\":1.}", "it is not JSON, at byte 6: \"1.}\""},
      {"{\"a\":+1}", "it is not JSON, at byte 6: \"+1}\""},
      {"{\"a\":NaN}", "it is not JSON, at byte 6: \"NaN}\""},
      {"{\"a\":\"\\ud800\"}", "it is not JSON, at byte 6: \"\\\"\\\\ud800\\\"}\""},
      {"{\"a\":\"\\x\"}", "it is not JSON, at byte 6: \"\\\"\\\\x\\\"}\""},
      {"{\"a\":\"x\ny\"}", "it has a control character inside a string"},
      {"{\"a\":\0}"s, "it has a NUL byte, at byte 6"},
      {"{\"a\":\"\xc3\"}", "it is not UTF-8, at byte 7"},
      {"{\"a\":\"\xed\xa0\x80\"}", "it is not UTF-8, at byte 7"},
      {"\xef\xbb\xbf{}", "it is not JSON, at byte 1: \"\xef\xbb\xbf{}\""},
      {"{\"a\":" + repeated("[", 10000) + repeated("]", 10000) + "}",
       "it is nested deeper than 256 levels, at byte 261"},
      {repeated("{\"a\":", 10000) + "1" + repeated("}", 10000),
       "it is nested deeper than 256 levels, at byte 1281"},
      {std::string(1U << 20U, 'x'),
       "it is not JSON, at byte 1: \"" + std::string(64, 'x') + "\"... (1048576 bytes)"},
      {std::string(1U << 20U, '{'), "it ends before its last object or string does"},
  };
  for (const Case& item : cases) {
    CAPTURE(item.text.substr(0, 40));
    CHECK(parse_error(item.text) == item.expected);
  }
}

TEST_CASE("255 arrays in an object are deep enough for anybody") {
  CHECK(parse_error("{\"a\":" + repeated("[", 255) + repeated("]", 255) + "}") == "no error");
  CHECK(parse_error("{\"a\":" + repeated("[", 256) + repeated("]", 256) + "}") ==
        "it is nested deeper than 256 levels, at byte 261");
}

TEST_CASE("duplicate keys are refused wherever they are") {
  const std::vector<Case> cases = {
      {R"({"a":1,"a":1})", "it has the key a twice"},
      {R"({"a":1,"\u0061":2})", "it has the key a twice"},
      {R"({"a":{"b":[{"x":1,"y":2,"x":3}]}})", "it has the key a.b[0].x twice"},
      {R"({"args":{"org.apache.mesos":{"l":1,"l":2}}})",
       "it has the key args.\"org.apache.mesos\".l twice"},
      {"{\"a\\n\":1,\"a\\u000a\":2}", "it has the key \"a\\n\" twice"},
      {R"({"a":1,"A":2,"b":{"a":1}})", "no error"},
  };
  for (const Case& item : cases) CHECK(parse_error(item.text) == item.expected);
}

TEST_CASE("a duplicate among 200,000 keys is found in the time it takes to sort them") {
  std::string text = "{";
  for (int i = 0; i < 200000; ++i) text += "\"k" + std::to_string(i) + "\":0,";
  CHECK(parse_error(text + "\"z\":1}") == "no error");
  CHECK(parse_error(text + "\"k77\":1}") == "it has the key k77 twice");
}

TEST_CASE("a number that no type holds is no error, and keeps its text") {
  const json::Document document = parsed(R"({"a":[123456789012345678901234567890,-0.5e+400]})");
  std::vector<std::string> texts;
  for (const json::Value number : document.root().member("a")) texts.emplace_back(number.text());
  CHECK(texts == std::vector<std::string>{"123456789012345678901234567890", "-0.5e+400"});
}

TEST_CASE("raw gives a value byte for byte") {
  const json::Document document = parsed(
      "{ \"o\" : { \"x\" : [ 1 , \"}]\\\"\" ] } , \"s\":\"\\u0041\\\\\",\"n\": -1.50 ,\"t\":true}");
  const json::Value root = document.root();
  CHECK(root.member("o").raw() == "{ \"x\" : [ 1 , \"}]\\\"\" ] }");
  CHECK(root.member("s").raw() == "\"\\u0041\\\\\"");
  CHECK(root.member("s").text() == "A\\");
  CHECK(root.member("n").raw() == "-1.50");
  CHECK(root.member("t").raw() == "true");
  CHECK(root.member("none").raw().empty());
}

TEST_CASE("a value is harmless to ask for what it is not") {
  const json::Document document = parsed(R"({"s":"x","a":[null]})");
  const json::Value root = document.root();
  CHECK(root.member("s").member("x").kind() == json::Kind::missing);
  CHECK(root.member("s").begin() == root.member("s").end());
  CHECK(root.member("none").begin() == root.member("none").end());
  CHECK(root.member("a").text().empty());
  CHECK(root.member("none").path().empty());
  CHECK_FALSE((*root.member("a").begin()).present());
  CHECK((*root.member("a").begin()).path() == "a[0]");
}

TEST_CASE("skip_value stays inside a text that is not JSON") {
  for (const std::string_view text : {"{", "\"", "\"\\", "{\"", "[[]", "{]", "x"}) {
    const std::size_t end = json::skip_value(text, 0);
    CHECK((end == std::string_view::npos || end <= text.size()));
  }
  CHECK(json::skip_value("x", 1) == std::string_view::npos);
}

TEST_CASE("typed reads name path and value, all of them") {
  const json::Document document = parsed(
      R"({"p":[0,80,70000,-1,80.0,1e3,"80",null,99999999999999999999,-0],"b":"yes","s":{},"a":1})");
  const json::Value root = document.root();
  json::Problems problems;
  for (const json::Value port : root.member("p")) {
    const std::optional<std::int64_t> number = json::read_integer(port, 1, 65535, problems);
    CHECK(number.has_value() == (port.text() == "80" && port.kind() == json::Kind::number));
  }
  CHECK_FALSE(json::read_bool(root.member("b"), problems));
  CHECK_FALSE(json::read_string(root.member("s"), problems));
  CHECK_FALSE(json::is_array(root.member("a"), problems));
  CHECK_FALSE(json::is_object(root.member("a"), problems));
  CHECK_FALSE(json::is_object(root.member("none"), problems));
  problems.missing(root.member("s"), "key", "it is needed");
  CHECK(problems.text() ==
        "p[0]: 0 is not in 1..65535; p[2]: 70000 is not in 1..65535; p[3]: -1 is not in 1..65535; "
        "p[4]: 80.0 is not an integer in 1..65535; p[5]: 1e3 is not an integer in 1..65535; "
        "p[6]: \"80\" is not an integer in 1..65535; p[7]: null is not an integer in 1..65535; "
        "p[8]: 99999999999999999999 is not in 1..65535; p[9]: -0 is not in 1..65535; "
        "b: \"yes\" is not true or false; s: an object is not a string; a: 1 is not an array; "
        "a: 1 is not an object; s.key is missing: it is needed");
}

TEST_CASE("the twenty-first problem is only counted") {
  json::Problems problems;
  std::string expected;
  for (int i = 0; i < 20; ++i) {
    problems.add("p" + std::to_string(i));
    expected += (i == 0 ? "p" : "; p") + std::to_string(i);
  }
  CHECK(problems.text() == expected);
  problems.add("p20");
  problems.about(json::Value(), "is wrong");
  CHECK(problems.text() == expected + "; and 2 more");
}

TEST_CASE("bytes that are no UTF-8, and controls beyond ASCII, do not reach a terminal") {
  CHECK(printable("web/\u00e4/eth0") == "web/\u00e4/eth0");
  CHECK(printable("a\x1b[m\x7f\n") == "a?[m??");
  CHECK(printable("\u009b1m\u2028\u2029") == "?1m??");
  CHECK(printable("a\x9b\xc3 \xdf") == "a?? ?");
  CHECK(printable("\u202acba\u202e \u2066dcba\u2069") == "?cba? ?dcba?");
}

TEST_CASE("quoted text is one line, UTF-8, and short") {
  const std::vector<Case> cases = {
      {"plain", "\"plain\""},
      {"a\"b\\c", R"("a\"b\\c")"},
      {"\n\r\t\x01\x1b[31m\x7f", R"("\n\r\t\u0001\u001b[31m\u007f")"},
      {"\xc2\x85\xe2\x80\xa8", R"("\u0085\u2028")"},
      {"\u202ea\u2066", R"("\u202ea\u2066")"},
      {"a\xff\xc3", R"("a\ufffd\ufffd")"},
      {"\xc0\x80\xf8", R"("\ufffd\ufffd\ufffd")"},
      {"gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\""},
      {"nul\0x"s, R"("nul\u0000x")"},
      {"it was not found", R"("it was not\u0020found")"},
      {std::string(64, 'a'), "\"" + std::string(64, 'a') + "\""},
      {std::string(4096, 'a'), "\"" + std::string(64, 'a') + "\"... (4096 bytes)"},
      {std::string(63, 'a') + "\xc3\xbc", "\"" + std::string(63, 'a') + "\"... (65 bytes)"},
      {std::string(61, 'a') + "\xf0\x9f\x98\x80", "\"" + std::string(61, 'a') + "\"... (65 bytes)"},
      {std::string(64, 'a') + "\xc3\xbc", "\"" + std::string(64, 'a') + "\"... (66 bytes)"},
  };
  for (const Case& item : cases) CHECK(json::quoted(item.text) == item.expected);
}

TEST_CASE("the writer sets commas and escapes") {
  json::Writer out;
  out.begin_object().member("a", 1).member("b", "x\ny").member("c\"", true).key("d").begin_array();
  out.string("\xff").integer(-2).raw("{ }").begin_object().end_object().end_array();
  out.key("e").begin_array().end_array().end_object();
  CHECK(out.text() == R"({"a":1,"b":"x\ny","c\"":true,"d":["\ufffd",-2,{ },{}],"e":[]})");
  CHECK(parse_error(out.text()) == "no error");
}
