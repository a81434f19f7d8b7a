#include "lib/app/command_context.hpp"

#include "lib/cni/result.hpp"
#include "lib/config/delegate_input.hpp"
#include "nft/names.hpp"

namespace portmapper::app {

nft::NetworkChain CommandContext::chain() const {
  const bool needs_its_own = !conf.exclude_devices.empty() || !conf.exclude_addresses.empty() ||
                             !conf.conditions_v4.empty() || !conf.conditions_v6.empty();
  std::string name = needs_its_own ? nft::derived_chain(conf.name) : nft::kSharedChain;
  if (conf.chain) name = *conf.chain;
  const std::string network = name == nft::kSharedChain ? std::string() : conf.name;
  return {.name = std::move(name),
          .exclude_devices = conf.exclude_devices,
          .exclude_addresses = conf.exclude_addresses,
          .conditions_v4 = conf.conditions_v4,
          .conditions_v6 = conf.conditions_v6,
          .network = network};
}

Result<nft::Plan> plan_of(const CommandContext& context, std::string_view result,
                          const std::string& what) {
  const config::NetConf& conf = context.conf;
  Result<std::vector<IpPrefix>> addresses =
      cni::container_addresses(result, context.request.ifname, what);
  if (!addresses) return addresses.error();
  if (addresses->empty() && !conf.mappings.empty())
    return mapping_failed("cannot publish ports of container " + context.request.container_id,
                          context.request.ifname + " has no IP address in the " + what);
  return nft::make_plan({.attachment = context.attachment(),
                         .netns = context.netns,
                         .chain = context.chain(),
                         .mappings = conf.mappings,
                         .addresses = std::move(*addresses),
                         .snat = conf.snat,
                         .masq_all = conf.masq_all,
                         .close_connections = conf.close_connections,
                         .pod = context.request.pod});
}

Result<std::string> run_delegate(const CommandContext& context, cni::Command command,
                                 const std::string* prev_result) {
  if (!context.conf.delegate) return std::string();
  const config::Delegate& plugin = *context.conf.delegate;
  std::string input;
  if (prev_result != nullptr) input = config::with_prev_result(plugin.input, *prev_result);
  return context.runner.run({.type = plugin.type,
                             .command = to_string(command),
                             .input = prev_result != nullptr ? input : plugin.input,
                             .time_limit = context.conf.delegate_timeout});
}

}  // namespace portmapper::app
