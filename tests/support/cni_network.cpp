#include "tests/support/cni_network.hpp"

#include <regex>

namespace portmapper::test {

CniNetwork::CniNetwork(const Lab& lab, std::string name, std::string delegate, std::string subnet,
                       std::string subnet6, std::string more)
    : lab_(lab),
      name_(std::move(name)),
      delegate_(std::move(delegate)),
      subnet_(std::move(subnet)),
      subnet6_(std::move(subnet6)),
      more_(std::move(more)) {}

std::string CniNetwork::config(const Mappings& ports) const {
  const std::string ipam = R"("ipam":{"type":"host-local","dataDir":")" + scratch_.path("ipam") +
                           R"(","ranges":[[{"subnet":")" + subnet_ + R"("}],[{"subnet":")" +
                           subnet6_ + R"("}]],"routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}]})";
  std::string more = R"("chain":")" + name_ + R"(","delegate":{)" + delegate_ + "," + ipam + "}";
  if (!more_.empty()) more += "," + more_;
  return chained_config(name_, "", to_json(ports), more);
}

std::string CniNetwork::add(const std::string& container, const Mappings& ports) const {
  const RunResult added = Plugin{PLUGIN}.call(lab_, lab_.host(), "ADD", container, config(ports));
  if (added.status != 0 || !added.err.empty()) return added.out + added.err;
  static const std::regex address(R"re("address": *"([^/"]*)/)re");
  std::string addresses;
  for (std::sregex_iterator match(added.out.begin(), added.out.end(), address), end; match != end;
       ++match)
    addresses += (addresses.empty() ? "" : " ") + (*match)[1].str();
  return addresses;
}

std::string CniNetwork::del(const std::string& container) const {
  const RunResult deleted = Plugin{PLUGIN}.call(lab_, lab_.host(), "DEL", container, config({}));
  if (deleted.status != 0 || !deleted.err.empty()) return deleted.out + deleted.err;
  return done;
}

}  // namespace portmapper::test
