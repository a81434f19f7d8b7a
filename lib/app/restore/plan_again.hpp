// plan_again: what the ADD of an attachment wanted in the kernel, from the runtime's record of it.
//
//   const CachedAttachment cached;
//   use(plan_again(cached, config::parse_net_conf(cached.config, cni::Command::add)));
//
// Its namespace is that of the record by its path alone: who lives there is to be looked at. Errors:
// those of the configuration and of the result; invalid_input without either, or without a namespace.
// Source: packaging/doc/design.md, "Restore".
#pragma once

#include "lib/app/restore/checkpoints.hpp"
#include "lib/config/net_config.hpp"
#include "nft/plan.hpp"

namespace portmapper::restore {

Result<nft::Plan> plan_again(const CachedAttachment& cached, const Result<config::NetConf>& conf);

}  // namespace portmapper::restore
