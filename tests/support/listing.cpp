#include "tests/support/listing.hpp"

#include <algorithm>
#include <map>
#include <regex>
#include <stdexcept>
#include <vector>

#include "tests/support/process.hpp"

namespace portmapper::test {
namespace {

constexpr std::string_view elements_start = "elements = {";

// The end of a quoted string that starts at `position`, or of the text.
std::size_t after_quotes(std::string_view text, std::size_t position) {
  const std::size_t end = text.find('"', position + 1);
  return end == std::string_view::npos ? text.size() : end + 1;
}

std::string trimmed(std::string_view text) {
  constexpr std::string_view space = " \t\n";
  const std::size_t first = text.find_first_not_of(space);
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(space) - first + 1));
}

// Reads the elements that follow elements_start and moves `position` behind their closing brace.
std::vector<std::string> take_elements(std::string_view text, std::size_t& position) {
  std::vector<std::string> elements;
  std::size_t start = position;
  while (position < text.size() && text[position] != '}') {
    if (text[position] == '"') {
      position = after_quotes(text, position);
      continue;
    }
    if (text[position] == ',') {
      elements.push_back(trimmed(text.substr(start, position - start)));
      start = position + 1;
    }
    ++position;
  }
  elements.push_back(trimmed(text.substr(start, position - start)));
  ++position;
  return elements;
}

const std::regex& owner_hash() {
  static const std::regex pattern("\"k[^\"]{14}\"");
  return pattern;
}

void sort_without_hashes(std::vector<std::string>& elements) {
  std::stable_sort(elements.begin(), elements.end(), [](const auto& left, const auto& right) {
    return std::regex_replace(left, owner_hash(), "k") <
           std::regex_replace(right, owner_hash(), "k");
  });
}

std::string sort_elements(std::string_view text) {
  std::string result;
  std::size_t position = 0;
  while (true) {
    const std::size_t found = text.find(elements_start, position);
    if (found == std::string_view::npos) break;
    const std::size_t line = text.rfind('\n', found) + 1;
    const std::string indent = std::string(text.substr(line, found - line)) + "\t     ";
    result += text.substr(position, found + elements_start.size() - position);
    position = found + elements_start.size();
    std::vector<std::string> elements = take_elements(text, position);
    sort_without_hashes(elements);
    for (std::size_t i = 0; i < elements.size(); ++i) {
      result += (i == 0 ? " " : ",\n" + indent) + elements[i];
    }
    result += " }";
  }
  return result.append(text.substr(position));
}

std::string number_hashes(const std::string& text) {
  std::map<std::string, std::string> names;
  std::string result;
  auto position = text.cbegin();
  for (std::sregex_iterator match(text.begin(), text.end(), owner_hash()), end; match != end;
       ++match) {
    const auto [entry, is_new] = names.try_emplace(match->str());
    if (is_new) entry->second = "\"k#" + std::to_string(names.size()) + "\"";
    result.append(position, match->begin()->first).append(entry->second);
    position = match->begin()->second;
  }
  return result.append(position, text.cend());
}

}  // namespace

void nft(const std::string& ns, const std::string& script) {
  const RunResult result = run({"nft", "-f", "-"}, {.input = script, .ns = ns});
  if (result.status != 0) throw std::runtime_error("nft -f: " + result.err);
}

std::string listing(const std::string& ns) {
  RunResult result = run({"nft", "list", "table", "inet", "nft-port-mapper"}, {.ns = ns});
  constexpr std::string_view newer = "hook output priority dstnat + 1;";
  if (const std::size_t found = result.out.find(newer); found != std::string::npos)
    result.out.replace(found, newer.size(), "hook output priority -99;");
  if (result.status == 0) return result.out;
  if (result.err.find("No such file or directory") != std::string::npos) return "";
  throw std::runtime_error("nft list table: " + result.err);
}

std::string normalise(std::string_view listing) {
  static const std::regex counter("packets [0-9]+ bytes [0-9]+");
  const std::string text = std::regex_replace(std::string(listing), counter, "packets 0 bytes 0");
  return number_hashes(sort_elements(text));
}

}  // namespace portmapper::test
