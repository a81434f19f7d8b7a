#include "tests/support/verdict.hpp"

#include <regex>

namespace portmapper::test {
namespace {

std::string unescaped(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\')) ++i;
    plain += text[i];
  }
  return plain;
}

}  // namespace

std::string escaped(const std::string& text) {
  std::string json;
  for (const char c : text) {
    if (c == '"' || c == '\\') json += '\\';
    json += c;
  }
  return json;
}

std::string verdict(const RunResult& result, const std::string& log) {
  if (result.status == 0 && result.out.empty() && result.err == log) return "ok";
  static const std::regex object(
      R"re(\{"cniVersion":"([0-9.]+)","code":([0-9]+),)re"
      R"re("msg":"((?:[^"\\]|\\.)*)"(,"details":"((?:[^"\\]|\\.)*)")?\}\n)re");
  std::smatch match;
  if (result.status == 1 && std::regex_match(result.out, match, object)) {
    const std::string message = unescaped(match[3]);
    if (result.err == log + "nft-port-mapper: " + message + "\n")
      return match[2].str() + " cniVersion " + match[1].str() + ": " + message +
             (match[4].matched ? " | " + unescaped(match[5]) : "");
  }
  return "status " + std::to_string(result.status) + ", stdout \"" + result.out + "\", stderr \"" +
         result.err + "\"";
}

}  // namespace portmapper::test
