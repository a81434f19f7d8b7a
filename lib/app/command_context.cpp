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

namespace {

std::optional<nft::EgressWish> egress_of(const config::NetConf& conf) {
  if (!conf.ip_masq) return std::nullopt;
  return nft::EgressWish{conf.ip_masq->non_masquerade, conf.ip_masq->snat_addresses};
}

// What the bridge plugin says where there is no iptables for its ipMasq.
Error with_hint(Error error) {
  const std::string words = error.message() + error.details;
  if (error.kind == ErrorKind::delegate_failed && words.find("iptables") != std::string::npos)
    error.object +=
        "; if this host has no iptables, write \"ipMasq\": false in the delegate's configuration,"
        " and \"ipMasq\": true beside `delegate`: this plugin masquerades with nftables";
  return error;
}

}  // namespace

Result<nft::Plan> plan_of(const CommandContext& context, std::string_view result,
                          const std::string& what) {
  const config::NetConf& conf = context.conf;
  Result<std::vector<IpPrefix>> addresses =
      cni::container_addresses(result, context.request.ifname, what);
  if (!addresses) return addresses.error();
  if (addresses->empty() && (!conf.mappings.empty() || conf.ip_masq))
    return mapping_failed((conf.mappings.empty() ? "cannot masquerade container "
                                                 : "cannot publish ports of container ") +
                              context.request.container_id,
                          context.request.ifname + " has no IP address in the " + what);
  return nft::make_plan({.attachment = context.attachment(),
                         .netns = context.netns,
                         .chain = context.chain(),
                         .mappings = conf.mappings,
                         .addresses = std::move(*addresses),
                         .snat = conf.snat,
                         .masq_all = conf.masq_all,
                         .close_connections = conf.close_connections,
                         .pod = context.request.pod,
                         .egress = egress_of(conf)});
}

Result<std::string> run_delegate(const CommandContext& context, cni::Command command,
                                 const std::string* prev_result) {
  if (!context.conf.delegate) return std::string();
  const config::Delegate& plugin = *context.conf.delegate;
  std::string input;
  if (prev_result != nullptr) input = config::with_prev_result(plugin.input, *prev_result);
  Result<std::string> result =
      context.runner.run({.type = plugin.type,
                          .command = to_string(command),
                          .input = prev_result != nullptr ? input : plugin.input,
                          .time_limit = context.conf.delegate_timeout});
  if (!result && command == cni::Command::add) return with_hint(result.error());
  return result;
}

}  // namespace portmapper::app
