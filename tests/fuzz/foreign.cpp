// What the kernel answers about other tables, whose names, rules and sets are anybody's.
#include <linux/netfilter.h>

#include "lib/app/doctor/doctor.hpp"
#include "nft/foreign/legacy.hpp"
#include "nft/foreign/reader.hpp"
#include "tests/fuzz/answers.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace portmapper;
using namespace portmapper::doctor;
using namespace portmapper::nft::foreign;
using namespace portmapper::fuzz;

namespace {

RoutedPort port(const char* endpoint, Family family) {
  const Port port = *Port::from(8080);
  return {{IpAddress::any(family), Protocol::tcp, port},
          {*IpAddress::parse(endpoint), port},
          {"cni0", 3}};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    std::vector<nft::foreign::Chain> chains;
    LegacyTable table{.family = family, .name = "nat", .valid_hooks = 0x1f};
    table.entries.assign(data, data + size);
    (void)parse_legacy(table, chains);
  }
  Answers kernel({data, size});
  Result<nft::foreign::Ruleset> others = nft::foreign::read_ruleset(kernel);
  if (!others) {
    demand_error(others.error(), true);
    return 0;
  }
  Host host;
  host.ports = {port("10.22.0.2", Family::ipv4), port("fd00::2", Family::ipv6)};
  host.addresses = {*IpAddress::parse("192.0.2.1"), *IpAddress::parse("2001:db8::1")};
  host.devices = {{"eth0", 2}, {"cni0", 3}};
  host.has_table = true;
  host.others = std::move(*others);
  demand_printable(format(diagnose(host)), true);
  return 0;
}
