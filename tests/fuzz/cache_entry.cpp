// Files in libcni's cache: the attachment, and the configuration that is rebuilt from them.
#include "lib/cni/cache_entry.hpp"

#include "lib/config/net_config.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace portmapper;
using namespace portmapper::cni;
using namespace portmapper::config;
using namespace portmapper::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Result<CacheEntry> entry = parse_cache_entry(text_of(data, size), "nft-port-mapper");
  if (!entry) {
    demand_error(entry.error());
    return 0;
  }
  if (!entry->config) return 0;
  demand_json(*entry->config);
  const Result<NetConf> conf = parse_net_conf(*entry->config, Command::add);
  if (!conf) demand_error(conf.error());
  return 0;
}
