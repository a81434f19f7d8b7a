// CommandContext: what every CNI command works on.
//
//   const CommandContext context{request, conf, runner, log};
//   Result<nft::Plan> plan = plan_of(context, *conf.prev_result, "prevResult");
//   context.note_all(plan->notes);
//
// Notes for the operator go to `log`, a line each. Errors: as packaging/doc/design.md, "Error
// codes". Source: CNI SPEC.md section 4; packaging/doc/design.md, "The commands".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lib/base/attachment.hpp"
#include "lib/base/error.hpp"
#include "lib/base/escape.hpp"
#include "lib/cni/request.hpp"
#include "lib/config/net_config.hpp"
#include "lib/delegate/runner.hpp"
#include "nft/plan.hpp"

namespace portmapper::app {

// The text may contain names that others chose: control characters do not reach a terminal or a log
// reader.
inline std::string log_line(std::string_view text) {
  return "nft-port-mapper: " + printable(text) + "\n";
}

struct CommandContext {
  const cni::Request& request;
  const config::NetConf& conf;
  delegate::Runner& runner;
  std::string& log;
  NetworkNamespace netns{};  // what CNI_NETNS leads to, where it is recorded

  [[nodiscard]] Attachment attachment() const {
    return {conf.name, request.container_id, request.ifname};
  }
  // The network chain that the configuration asks for.
  [[nodiscard]] nft::NetworkChain chain() const;
  void note(std::string_view text) const { log += log_line(text); }
  void note_all(const std::vector<std::string>& notes) const {
    for (const std::string& text : notes) note(text);
  }
};

// What an ADD with this result wants in the kernel; without port mappings, nothing.
// `what` names the result in errors.
Result<nft::Plan> plan_of(const CommandContext& context, std::string_view result,
                          const std::string& what);

// Runs the delegate with `command`; prevResult is added where there is one. Empty without a
// delegate.
Result<std::string> run_delegate(const CommandContext& context, cni::Command command,
                                 const std::string* prev_result);

}  // namespace portmapper::app
