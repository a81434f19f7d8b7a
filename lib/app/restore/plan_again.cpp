#include "lib/app/restore/plan_again.hpp"

#include <algorithm>

#include "lib/app/command_context.hpp"
#include "lib/app/host_effects.hpp"
#include "lib/host/netns.hpp"

namespace portmapper::restore {
namespace {

bool is_absolute_path(const std::string& path) {
  return path.starts_with('/') && std::none_of(path.begin(), path.end(), [](char c) {
           return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
         });
}

}  // namespace

Result<nft::Plan> plan_again(const CachedAttachment& cached, const Result<config::NetConf>& conf) {
  if (!conf) return conf.error();
  if (cached.result.empty() && !conf->prev_result) return invalid_input("it has no result");
  cni::Request request;
  request.command = cni::Command::add;
  request.container_id = cached.attachment.container_id;
  request.ifname = cached.attachment.ifname;
  request.netns = cached.netns;
  request.pod = cached.pod;
  delegate::PluginRunner runner({});
  std::string log;
  NetworkNamespace netns{.path = cached.netns, .observer = host::observe()};
  Result<nft::Plan> plan =
      app::plan_of(app::CommandContext{request, *conf, runner, log, std::move(netns)},
                   cached.result.empty() ? *conf->prev_result : cached.result, "the kept result");
  if (plan && !(plan->translations.empty() && plan->egress.empty()) &&
      !is_absolute_path(cached.netns))
    return invalid_input(
        "it does not record a network namespace, so it is unknown whether it is alive");
  if (plan) {
    plan->is_restored = true;
    app::find_way_of_loopback(*plan);
  }
  return plan;
}

}  // namespace portmapper::restore
