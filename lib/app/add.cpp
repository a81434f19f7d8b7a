#include "lib/app/call.hpp"
#include "lib/app/host_effects.hpp"
#include "lib/app/publish.hpp"
#include "lib/cni/result.hpp"
#include "lib/host/netns.hpp"
#include "nft/plan.hpp"

namespace portmapper {
namespace {

Result<Plan> plan_of(const Call& call, std::vector<IpPrefix> addresses) {
  if (addresses.empty())
    return Error{ErrorKind::mapping_failed,
                 "cannot publish ports of container " + call.request.container_id,
                 call.request.ifname + " has no IP address in the result",
                 0,
                 {}};
  return make_plan({.attachment = call.attachment(),
                    .netns = identify_netns(call.request.netns),
                    .chain = {call.chain(), call.conf.exclude_devices},
                    .mappings = call.conf.mappings,
                    .addresses = std::move(addresses),
                    .snat = call.conf.snat,
                    .masq_all = call.conf.masq_all});
}

// All of an ADD that comes after the interface.
Status map_ports(const Call& call, const std::string& result) {
  const std::string what =
      call.conf.delegate ? "result of delegate " + call.conf.delegate->type : "prevResult";
  Result<std::vector<IpPrefix>> addresses = container_addresses(result, call.request.ifname, what);
  if (!addresses) {
    Error error = addresses.error();
    if (call.conf.delegate) error.kind = ErrorKind::delegate_failed;
    return error;
  }
  if (call.conf.mappings.empty()) return {};
  const Result<Plan> plan = plan_of(call, std::move(*addresses));
  if (!plan) return plan.error();
  for (const std::string& note : plan->notes) call.note(note);
  if (plan->translations.empty()) return {};
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return netlink.error();
  if (const Status published = publish(*netlink, *plan); !published) return published;
  std::vector<std::string> notes;
  const Status effects = effects_of_add(*netlink, *plan, notes);
  for (const std::string& note : notes) call.note(note);
  if (effects) return {};
  const Result<Holding> gone = withdraw(*netlink, plan->attachment, plan->chain.name);
  if (!gone) call.note("after the failed ADD, " + gone.error().message());
  return effects;
}

}  // namespace

Result<std::string> add(const Call& call) {
  Result<std::string> result = call.conf.delegate ? delegate(call, Command::add, nullptr)
                                                  : Result<std::string>(*call.conf.prev_result);
  if (!result) return result.error();
  const Status mapped = map_ports(call, *result);
  if (mapped) return result;
  // The interface must not stay behind without its ports.
  const Result<std::string> undone = delegate(call, Command::del, nullptr);
  if (!undone) call.note("after the failed ADD, " + undone.error().message());
  return mapped.error();
}

}  // namespace portmapper
