#include "lib/app/command_context.hpp"

#include "lib/cni/result.hpp"
#include "lib/config/delegate_input.hpp"
#include "lib/host/netns.hpp"
#include "nft/names.hpp"

namespace portmapper::app {

nft::NetworkChain Call::chain() const {
  const bool needs_its_own =
      !conf.exclude_devices.empty() || !conf.conditions_v4.empty() || !conf.conditions_v6.empty();
  std::string name = needs_its_own ? nft::derived_chain(conf.name) : nft::kSharedChain;
  if (conf.chain) name = *conf.chain;
  return {std::move(name), conf.exclude_devices, conf.conditions_v4, conf.conditions_v6};
}

Result<nft::Plan> plan_of(const Call& call, std::string_view result, const std::string& what) {
  const config::NetConf& conf = call.conf;
  Result<std::vector<IpPrefix>> addresses =
      cni::container_addresses(result, call.request.ifname, what);
  if (!addresses) return addresses.error();
  if (addresses->empty() && !conf.mappings.empty())
    return Error{ErrorKind::mapping_failed,
                 "cannot publish ports of container " + call.request.container_id,
                 call.request.ifname + " has no IP address in the " + what,
                 0,
                 {}};
  return nft::make_plan({.attachment = call.attachment(),
                         .netns = host::identify_netns(call.request.netns),
                         .chain = call.chain(),
                         .mappings = conf.mappings,
                         .addresses = std::move(*addresses),
                         .snat = conf.snat,
                         .masq_all = conf.masq_all});
}

Result<std::string> run_delegate(const Call& call, cni::Command command,
                                 const std::string* prev_result) {
  if (!call.conf.delegate) return std::string();
  const config::Delegate& plugin = *call.conf.delegate;
  std::string input;
  if (prev_result != nullptr) input = config::with_prev_result(plugin.input, *prev_result);
  return call.runner.run({.type = plugin.type,
                          .command = to_string(command),
                          .input = prev_result != nullptr ? input : plugin.input,
                          .time_limit = call.conf.delegate_timeout});
}

}  // namespace portmapper::app
