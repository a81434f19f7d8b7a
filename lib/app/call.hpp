// Call: what every CNI command works on, and the commands.
//
//   Call call{request, conf, runner, log};
//   Result<std::string> out = add(call);
//
// Each command returns what goes to stdout. Notes for the operator go to `log`, a line each.
// Errors: as design section 7. Does not promise: that a command of an older CNI version is refused;
// lib/app/plugin does. Source: CNI SPEC.md section 4; shared design, section 4.
#pragma once

#include <string>
#include <string_view>

#include "lib/base/attachment.hpp"
#include "lib/base/error.hpp"
#include "lib/cni/request.hpp"
#include "lib/config/net_config.hpp"
#include "lib/delegate/runner.hpp"
#include "lib/json/text.hpp"
#include "nft/plan.hpp"

namespace portmapper {

// Text may name what others made: a terminal or a log reader gets nothing to act upon.
inline std::string log_line(std::string_view text) {
  return "nft-port-mapper: " + json::printable(text) + "\n";
}

struct Call {
  const Request& request;
  const NetConf& conf;
  DelegateRunner& runner;
  std::string& log;

  [[nodiscard]] Attachment attachment() const {
    return {conf.name, request.container_id, request.ifname};
  }
  // The network chain that the configuration asks for.
  [[nodiscard]] NetworkChain chain() const;
  void note(std::string_view text) const { log += log_line(text); }
};

// What an ADD with this result wants in the kernel; without port mappings, nothing.
// `what` names the result in errors.
Result<Plan> plan_of(const Call& call, std::string_view result, const std::string& what);

// Runs the delegate with `command`; prevResult is added where there is one. Empty without a
// delegate.
Result<std::string> delegate(const Call& call, Command command, const std::string* prev_result);

Result<std::string> add(const Call& call);
Result<std::string> del(const Call& call);
Result<std::string> check(const Call& call);
Result<std::string> gc(const Call& call);
Result<std::string> status(const Call& call);

}  // namespace portmapper
