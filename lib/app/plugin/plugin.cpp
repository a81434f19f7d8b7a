#include "lib/app/plugin/plugin.hpp"

#include <cerrno>

#include "lib/app/plugin/commands.hpp"
#include "lib/cni/output.hpp"
#include "lib/cni/versions.hpp"
#include "lib/host/netns.hpp"
#include "lib/host/sysctl.hpp"
#include "lib/json/text.hpp"

namespace portmapper::plugin {
namespace {

std::string about() {
  std::string text = "nft-port-mapper " NFT_PORT_MAPPER_VERSION
                     ": a CNI plugin that publishes container ports with nftables.\n"
                     "Container runtimes run it. To see and repair what it has published, run"
                     " nft-port-mapperctl.\n"
                     "CNI versions:";
  for (const std::string_view version : cni::kCniVersions) text += " " + std::string(version);
  return text + "\n";
}

// CNI has CHECK since 0.4.0, GC and STATUS since 1.1.0.
Status is_in_version(cni::Command command, const std::string& version) {
  std::string_view since = cni::kOldestCniVersion;
  if (command == cni::Command::check) since = "0.4.0";
  if (command == cni::Command::gc || command == cni::Command::status) since = "1.1.0";
  if (cni::version_at_least(version, since)) return {};
  return unsupported_command("CNI_COMMAND " + std::string(to_string(command)) +
                             " needs cniVersion " + std::string(since) +
                             " or later; the configuration has " + version);
}

// A path that leads to no network namespace is refused before anything is made: the ports would be
// recorded as nobody's.
Result<NetworkNamespace> netns_of(const cni::Request& request) {
  if (request.command != cni::Command::add) return NetworkNamespace();
  Result<NetworkNamespace> netns = host::netns_to_record(request.netns);
  if (netns || netns.error().kind != ErrorKind::invalid_input) return netns;
  Error error = netns.error();
  error.what = "CNI_NETNS: " + json::quoted(request.netns) + " " + error.what +
               "; it must be the path of the container's network namespace";
  return error;
}

Result<std::string> run(const cni::Request& request, const std::string& input, std::string& log) {
  const Result<config::NetConf> conf = config::parse_net_conf(input, request.command);
  if (!conf) return conf.error();
  if (const Status known = is_in_version(request.command, conf->cni_version); !known)
    return known.error();
  const Result<NetworkNamespace> netns = netns_of(request);
  if (!netns) return netns.error();
  delegate::PluginRunner runner(request.path);
  const app::CommandContext context{request, *conf, runner, log, *netns};
  switch (request.command) {
    case cni::Command::add:
      return add(context);
    case cni::Command::del:
      return del(context);
    case cni::Command::check:
      return check(context);
    case cni::Command::gc:
      return gc(context);
    case cni::Command::status:
      return status(context);
    case cni::Command::version:
      break;  // answered without a configuration
  }
  return std::string();
}

// The version is read only where it is printed. Otherwise every ADD would parse its input twice.
std::string version_of(const Result<std::string>& input) {
  return input ? config::answer_version(*input) : std::string(cni::kNewestCniVersion);
}

Result<std::string> answer(const Result<cni::Request>& request, const Result<std::string>& input,
                           std::string& log) {
  if (!request) return request.error();
  if (!input) return input.error();
  if (request->command == cni::Command::version) return cni::version_object(version_of(input));
  return run(*request, *input, log);
}

// The kernel says EPERM, and not that it wants a capability. A table that another program owns is EPERM
// too, so it is looked whether we have it.
Error with_missing_capability(Error error) {
  if (error.kind == ErrorKind::mapping_failed && error.error_number == EPERM &&
      !host::may_administer_network())
    error.what =
        "CAP_NET_ADMIN is missing, and nf_tables needs it: run the runtime as root, or give it this"
        " capability (AmbientCapabilities= of systemd, --cap-add=NET_ADMIN of a container): " +
        error.what;
  return error;
}

std::string undo_add(cni::Request request, const std::string& input) {
  request.command = cni::Command::del;
  std::string log;
  const Result<std::string> undone = run(request, input, log);
  if (!undone) log += app::log_line("after the failed ADD, " + undone.error().message());
  return log;
}

}  // namespace

app::Outcome run_plugin(const cni::Environment& environment, const ReadInput& read_input) {
  app::Outcome outcome;
  Result<cni::Request> request = cni::read_request(environment);
  const bool by_hand = environment("CNI_COMMAND") == nullptr;
  if (by_hand) outcome.log = about();
  Result<std::string> input = by_hand ? Result<std::string>(std::string()) : read_input();
  Result<std::string> out = answer(request, input, outcome.log);
  if (out) {
    outcome.out = std::move(*out);
    if (request->command == cni::Command::add)
      outcome.undo = [request = std::move(*request), input = std::move(*input)] {
        return undo_add(request, input);
      };
    return outcome;
  }
  outcome.status = 1;
  const Error error = with_missing_capability(out.error());
  outcome.out = cni::error_object(version_of(input), error);
  outcome.log += app::log_line(error.message());
  return outcome;
}

}  // namespace portmapper::plugin
