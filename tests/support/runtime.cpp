#include "tests/support/runtime.hpp"

#include <algorithm>
#include <future>
#include <latch>
#include <regex>
#include <sstream>

#include "tests/support/files.hpp"

namespace portmapper::test {
namespace {

// What the plugin answered, as runtime.hpp describes it.
std::string answer(const RunResult& result, const std::string& success) {
  static const std::string prefix = "nft-port-mapper: ";
  if (result.status == 0 && result.out == success && result.err.empty()) return done;
  if (result.status == 1 && result.err.starts_with(prefix)) {
    const std::string message =
        result.err.substr(prefix.size(), result.err.size() - prefix.size() - 1);
    const std::string object = R"({"cniVersion":"1.0.0","code":103,"msg":")" + message + "\"}\n";
    if (result.err == prefix + message + "\n" && result.out == object) return message;
  }
  return "status " + std::to_string(result.status) + ", stdout \"" + result.out + "\", stderr \"" +
         result.err + "\"";
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace

std::string to_json(const Mappings& mappings) {
  std::string json = "[";
  for (const Mapping& mapping : mappings) {
    json += json.size() == 1 ? "" : ",";
    json += R"({"hostPort":)" + std::to_string(mapping.host_port) + R"(,"containerPort":)" +
            std::to_string(mapping.container_port) + R"(,"protocol":")" + mapping.protocol + "\"";
    if (!mapping.host_address.empty()) json += R"(,"hostIP":")" + mapping.host_address + "\"";
    json += "}";
  }
  return json + "]";
}

std::string result_of(const std::string& address, const std::string& address6) {
  std::string ips = R"({"address":")" + address + R"(","interface":0})";
  if (!address6.empty()) ips += R"(,{"address":")" + address6 + R"(","interface":0})";
  return R"({"cniVersion":"1.0.0","interfaces":[{"name":"eth0","sandbox":"/none"}],"ips":[)" + ips +
         "]}";
}

std::string Runtime::add(const std::string& container, const Mappings& ports,
                         const AddOptions& options) const {
  const std::string result =
      options.result.empty() ? lab_.previous_result(container) : options.result;
  const Plugin plugin{PLUGIN};
  return answer(
      plugin.call(lab_, lab_.host(), "ADD", container,
                  chained_config(network_, result, to_json(ports), more_), options.environment),
      result);
}

std::string Runtime::del(const std::string& container) const {
  const Plugin plugin{PLUGIN};
  return answer(plugin.call(lab_, lab_.host(), "DEL", container,
                            chained_config(network_, "", "null", more_), {"CNI_NETNS"}),
                "");
}

const std::string& golden_listing() {
  static const std::string text = [] {
    const Lab lab;
    nft(lab.host(), read_file(GOLDEN "/ruleset.nft"));
    return normalise(listing(lab.host()));
  }();
  return text;
}

std::string without_elements(const std::string& listing) {
  static const std::regex elements("\t*elements = \\{[^}]*\\}\n");
  return std::regex_replace(listing, elements, "");
}

std::string difference(const std::string& is, const std::string& expected) {
  const std::vector<std::string> left = lines_of(is);
  const std::vector<std::string> right = lines_of(expected);
  const std::size_t shorter = std::min(left.size(), right.size());
  std::size_t first = 0;
  while (first < shorter && left[first] == right[first]) ++first;
  std::size_t last = 0;  // counted from the end
  while (last < shorter - first && left[left.size() - 1 - last] == right[right.size() - 1 - last])
    ++last;
  std::string text;
  for (std::size_t i = first; i < left.size() - last; ++i) text += "-" + left[i] + "\n";
  for (std::size_t i = first; i < right.size() - last; ++i) text += "+" + right[i] + "\n";
  return text;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

std::string published_by(const std::string& port, const std::string& owner,
                         const std::string& network) {
  return port + " is published by container " + owner + " of network " + network + " (eth0)";
}

std::string conflict(const std::string& container, const std::string& published) {
  return "cannot publish ports of container " + container + ": " + published +
         "; stop that container or choose another host port";
}

std::string connections(const Lab& lab, const std::string& map, const std::string& element) {
  const RunResult got =
      run({"nft", "get", "element", "inet", "nft-port-mapper", map, "{ " + element + " }"},
          {.ns = lab.host()});
  static const std::regex packets("counter packets ([0-9]+) ");
  std::smatch match;
  return std::regex_search(got.out, match, packets) ? match[1].str() : "none";
}

std::vector<std::string> at_once(std::size_t count,
                                 const std::function<std::string(std::size_t)>& function) {
  std::latch start(static_cast<std::ptrdiff_t>(count));
  std::vector<std::future<std::string>> running;
  for (std::size_t i = 0; i < count; ++i)
    running.push_back(std::async(std::launch::async, [&start, &function, i] {
      start.arrive_and_wait();
      return function(i);
    }));
  std::vector<std::string> answers;
  for (std::future<std::string>& one : running) answers.push_back(one.get());
  return answers;
}

}  // namespace portmapper::test
