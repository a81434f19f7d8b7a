// What the validator accepts, `render` prints and nft takes: the input's lines are the parts of a
// configuration, each behind a letter that says which.
//   c chain   d an excluded device   4, 6 an element of conditionsV4, conditionsV6
//   a address of the container   m host port, container port, protocol, host address
//   n container   i interface   s no snat   q masqAll
#include <nftables/libnftables.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "lib/app/ctl/ctl.hpp"
#include "lib/app/plugin/plugin.hpp"
#include "lib/base/unique_fd.hpp"
#include "lib/json/writer.hpp"
#include "tests/fuzz/lines.hpp"
#include "tests/fuzz/own_network.hpp"

using namespace portmapper;
using namespace portmapper::app;
using namespace portmapper::ctl;
using namespace portmapper::fuzz;

// What nft itself leaks is not ours.
extern "C" int __lsan_is_turned_off() {
  return 1;
}

namespace {

struct Parts {
  std::string container = "abc";
  std::string ifname = "eth0";
  json::Writer config;
};

void list(json::Writer& out, const char* key, const std::vector<std::string>& lines, char kind) {
  out.key(key).begin_array();
  for (const std::string& line : lines)
    if (line[0] == kind) out.string(line.substr(1));
  out.end_array();
}

void mapping(json::Writer& out, const std::string& line) {
  std::istringstream words(line);
  std::uint32_t host_port = 0;
  std::uint32_t container_port = 0;
  std::string protocol;
  std::string address;
  words >> host_port >> container_port >> protocol >> address;
  out.begin_object()
      .member("hostPort", std::int64_t{host_port})
      .member("containerPort", std::int64_t{container_port})
      .member("protocol", protocol)
      .member("hostIP", address)
      .end_object();
}

Parts parts_of(std::vector<std::string> lines) {
  std::erase(lines, "");
  Parts parts;
  json::Writer& out = parts.config;
  out.begin_object().member("cniVersion", "1.0.0").member("name", "web");
  bool has_chain = false;
  for (const std::string& line : lines) {
    if (line[0] == 'c' && !std::exchange(has_chain, true)) out.member("chain", line.substr(1));
    if (line[0] == 'n') parts.container = line.substr(1);
    if (line[0] == 'i') parts.ifname = line.substr(1);
  }
  const auto has = [&lines](const char* what) {
    return std::find(lines.begin(), lines.end(), what) != lines.end();
  };
  out.member("snat", !has("s")).member("masqAll", has("q"));
  list(out, "excludeDevices", lines, 'd');
  list(out, "conditionsV4", lines, '4');
  list(out, "conditionsV6", lines, '6');
  out.key("runtimeConfig").begin_object().key("portMappings").begin_array();
  for (const std::string& line : lines)
    if (line[0] == 'm') mapping(out, line.substr(1));
  out.end_array().end_object().key("prevResult").begin_object().key("ips").begin_array();
  for (const std::string& line : lines)
    if (line[0] == 'a') out.begin_object().member("address", line.substr(1)).end_object();
  out.end_array().end_object().end_object();
  return parts;
}

Outcome render(const Parts& parts) {
  const UniqueFd file(memfd_create("config", 0));
  const std::string& text = parts.config.text();
  demand(write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()),
         "the configuration is written");
  const std::string path = "/proc/self/fd/" + std::to_string(file.get());
  return run_ctl(std::vector<std::string>{"render", "--container=" + parts.container,
                                          "--ifname=" + parts.ifname, path});
}

void check_with_nft(const std::string& script) {
  nft_ctx* nft = nft_ctx_new(NFT_CTX_DEFAULT);
  nft_ctx_set_dry_run(nft, true);
  nft_ctx_buffer_error(nft);
  const int status = nft_run_cmd_from_buffer(nft, script.c_str());
  demand(status == 0, nft_ctx_get_error_buffer(nft), script);
  nft_ctx_free(nft);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  return enter_own_network();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Outcome rendered = render(parts_of(lines_of(text_of(data, size))));
  demand_printable(rendered.log, true);
  if (rendered.status == 0) check_with_nft(rendered.out);
  return 0;
}
