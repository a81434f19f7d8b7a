#include "lib/app/ctl.hpp"

#include <array>
#include <cerrno>
#include <string_view>

#include "lib/app/listing.hpp"

namespace portmapper {
namespace {

constexpr char kProgram[] = "nft-port-mapperctl";
constexpr int kUsage = 2;

using Arguments = std::span<const std::string>;

struct Subcommand {
  std::string_view name;
  std::string_view summary;
  std::string_view help;
  Outcome (*run)(Arguments arguments);
};

Outcome failure(const Error& error) {
  std::string log = std::string(kProgram) + ": " + error.message() + "\n";
  if (error.error_number == EPERM) log += "It needs CAP_NET_ADMIN: run it as root.\n";
  return {.status = 1, .out = {}, .log = std::move(log)};
}

Outcome list(Arguments) {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return failure(netlink.error());
  const Result<std::vector<ListedPort>> ports = list_ports(*netlink);
  if (!ports) return failure(ports.error());
  return {.status = 0, .out = format_table(*ports), .log = {}};
}

Outcome version(Arguments) {
  return {.status = 0, .out = std::string(kProgram) + " " NFT_PORT_MAPPER_VERSION "\n", .log = {}};
}

constexpr std::array kSubcommands = {
    Subcommand{
        "list", "show every published port of this host",
        "Usage: nft-port-mapperctl list\n\n"
        "Shows protocol, host address and port, the container address and port it leads to,\n"
        "container, network, and the connections since the port was published.\n"
        "0.0.0.0 and [::] stand for any address of this host.\n",
        list},
    Subcommand{"version", "show the version", "Usage: nft-port-mapperctl version\n", version},
};

std::string usage() {
  std::string text =
      "Usage: nft-port-mapperctl COMMAND [--help]\n\n"
      "Shows and mends the container ports that nft-port-mapper published on this host.\n\n"
      "Commands:\n";
  for (const Subcommand& command : kSubcommands) {
    text += "  " + std::string(command.name) + std::string(10 - command.name.size(), ' ');
    text += std::string(command.summary) + "\n";
  }
  return text + "\nThe table itself: nft list table inet nft-port-mapper\n";
}

Outcome wrong_usage(const std::string& what) {
  return {
      .status = kUsage, .out = {}, .log = std::string(kProgram) + ": " + what + "\n\n" + usage()};
}

}  // namespace

Outcome run_ctl(Arguments arguments) {
  if (arguments.empty()) return {.status = kUsage, .out = {}, .log = usage()};
  const std::string& name = arguments.front();
  if (name == "--help" || name == "-h") return {.status = 0, .out = usage(), .log = {}};
  for (const Subcommand& command : kSubcommands) {
    if (command.name != name) continue;
    const Arguments rest = arguments.subspan(1);
    if (rest.empty()) return command.run(rest);
    if (rest.front() == "--help") return {.status = 0, .out = std::string(command.help), .log = {}};
    return wrong_usage(name + " does not take '" + rest.front() + "'");
  }
  return wrong_usage("there is no command '" + name + "'");
}

}  // namespace portmapper
