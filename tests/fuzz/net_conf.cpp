// Standard input of every command: the configuration, its delegate's input, and the plan it makes.
#include "lib/app/command_context.hpp"
#include "lib/cni/versions.hpp"
#include "lib/config/delegate_input.hpp"
#include "lib/config/net_config.hpp"
#include "tests/fuzz/round_trip.hpp"

using namespace portmapper;
using namespace portmapper::app;
using namespace portmapper::cni;
using namespace portmapper::config;
using namespace portmapper::delegate;
using namespace portmapper::nft;
using namespace portmapper::fuzz;

namespace {

void make_plan_of(const NetConf& conf) {
  Request request;
  request.command = Command::add;
  request.container_id = "abc";
  request.ifname = "eth0";
  PluginRunner runner({});
  std::string log;
  const Result<Plan> plan =
      plan_of(app::CommandContext{request, conf, runner, log}, *conf.prev_result, "prevResult");
  if (!plan) return demand_error(plan.error());
  for (const std::string& note : plan->notes) demand_printable(note);
  demand_printable(to_string(*plan), true);
  if (!plan->translations.empty()) demand_round_trip(*plan);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = text_of(data, size);
  demand(is_supported(answer_version(text)), "there is a version to answer in", text);
  for (const Command command :
       {Command::add, Command::del, Command::check, Command::gc, Command::status}) {
    const Result<NetConf> conf = parse_net_conf(text, command);
    if (!conf) {
      demand_error(conf.error());
      continue;
    }
    if (conf->delegate) demand_json(with_prev_result(conf->delegate->input, R"({"ips":[]})"));
    if (conf->prev_result && command == Command::add) make_plan_of(*conf);
  }
  return 0;
}
