#include "lib/app/plugin.hpp"

#include "lib/app/call.hpp"
#include "lib/cni/output.hpp"
#include "lib/cni/versions.hpp"

namespace portmapper {
namespace {

Result<std::string> run(const Request& request, const std::string& input, std::string& log) {
  const Result<NetConf> conf = parse_net_conf(input, request.command);
  if (!conf) return conf.error();
  PluginRunner runner(request.path);
  const Call call{request, *conf, runner, log};
  switch (request.command) {
    case Command::add:
      return add(call);
    case Command::del:
      return del(call);
    default:
      break;
  }
  return Error{ErrorKind::unsupported_command,
               "CNI_COMMAND " + std::string(to_string(request.command)) + " is not supported",
               {},
               0,
               {}};
}

}  // namespace

Outcome run_plugin(const Environment& environment, const Result<std::string>& input) {
  Outcome outcome;
  const std::string version = input ? answer_version(*input) : std::string(kNewestCniVersion);
  const Result<Request> request = read_request(environment);
  Result<std::string> out = std::string();
  if (!request) {
    out = request.error();
  } else if (!input) {
    out = input.error();
  } else if (request->command == Command::version) {
    out = version_object(version);
  } else {
    out = run(*request, *input, outcome.log);
  }
  if (out) {
    outcome.out = std::move(*out);
  } else {
    outcome.status = 1;
    outcome.out = error_object(version, out.error());
    outcome.log += "nft-port-mapper: " + out.error().message() + "\n";
  }
  return outcome;
}

}  // namespace portmapper
