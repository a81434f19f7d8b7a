#include "tests/support/cni_cache.hpp"

#include <fstream>
#include <stdexcept>

namespace portmapper::test {

namespace fs = std::filesystem;

std::string encode_base64(const std::string& bytes) {
  static const std::string alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::size_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k)
      text += i + k > bytes.size() ? '=' : alphabet[bits >> (18 - 6 * k) & 63];
  }
  return text;
}

CniCache::CniCache(const Lab& lab, std::string more, std::string network)
    : lab_(lab), more_(std::move(more)), network_(std::move(network)) {
  fs::create_directories(directory() + "/results");
}

std::string CniCache::file(const std::string& container) const {
  return directory() + "/results/" + network_ + "-" + container + "-eth0";
}

std::string CniCache::plugin_add(const std::string& container, const Mappings& ports) const {
  return Runtime(lab_, more_ + R"(,"capabilities":{"portMappings":true})", network_)
      .add(container, ports);
}

std::string CniCache::plugin_del(const std::string& container) const {
  return Runtime(lab_, more_, network_).del(container);
}

std::string CniCache::add(const std::string& container, const Mappings& ports) const {
  const std::string added = plugin_add(container, ports);
  if (added == done) write(container, entry(container, ports));
  return added;
}

std::string CniCache::del(const std::string& container) const {
  const std::string deleted = plugin_del(container);
  if (deleted == done) forget(container);
  return deleted;
}

void CniCache::forget(const std::string& container) const {
  fs::remove(file(container));
}

std::string CniCache::entry(const std::string& container, const Mappings& ports, std::string result,
                            std::string netns) const {
  const std::string list = R"({"cniVersion":"1.0.0","name":")" + network_ +
                           R"(","plugins":[{"type":"bridge","bridge":"cni0"},)"
                           R"({"type":"nft-port-mapper","capabilities":{"portMappings":true},)" +
                           more_ + "}]}";
  if (result.empty()) result = lab_.previous_result(container);
  if (netns.empty()) netns = namespace_path(lab_.ns(container));
  return R"({"kind":"cniCacheV1","containerId":")" + container + R"(","config":")" +
         encode_base64(list) + R"(","ifName":"eth0","networkName":")" + network_ +
         R"(","netns":")" + netns + R"(","capabilityArgs":{"portMappings":)" + to_json(ports) +
         R"(},"result":)" + result + "}";
}

void CniCache::write(const std::string& container, const std::string& text) const {
  std::ofstream stream(file(container), std::ios::binary | std::ios::trunc);
  stream << text;
  if (!stream.flush()) throw std::runtime_error(file(container) + ": cannot be written");
}

RunResult ctl(const Lab& lab, const std::vector<std::string>& words) {
  std::vector<std::string> argv = {CTL};
  argv.insert(argv.end(), words.begin(), words.end());
  return run(argv, {.ns = lab.host()});
}

}  // namespace portmapper::test
