#include "lib/app/egress.hpp"
#include "lib/app/host_effects.hpp"
#include "lib/app/host_notes.hpp"
#include "lib/app/host_processes.hpp"
#include "lib/app/plugin/commands.hpp"
#include "lib/app/port_wait.hpp"
#include "lib/app/publish.hpp"

namespace portmapper::plugin {
namespace {

// True: there is a table of those who are masqueraded, which may have the attachment.
Result<bool> publish_with_effects(const app::CommandContext& context, const nft::Plan& plan) {
  // It is not waited for: no runtime ends a process of the host, and its end makes no event.
  Result<std::vector<std::string>> said =
      app::notes_on_listeners(plan, context.conf.host_listeners);
  if (!said) return said.error();
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return netlink.error();
  const Result<app::Published> published =
      app::publish_or_wait(*netlink, plan, context.conf.port_wait);
  if (!published) return published.error();
  std::vector<std::string> notes = *std::move(said);
  app::effects_of_promotion(*netlink, published->promoted, notes);
  const Status effects = app::effects_of_add(*netlink, published->part ? *published->part : plan,
                                             published->left, notes);
  if (!effects) {
    const auto gone = app::withdraw(*netlink, {nft::owner_hash(plan.attachment), plan.chain.name},
                                    notes, plan.close_connections);
    if (!gone) notes.push_back("after the failed ADD, " + gone.error().message());
  }
  context.note_all(notes);
  if (!effects) return effects.error();
  return published->may_be_masqueraded;
}

// The ports are there already, and go with it where it fails.
Status masquerade(const app::CommandContext& context, const nft::Plan& plan) {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  const auto work = plan.egress.empty() ? app::leave_unmasqueraded : app::masquerade;
  const Status masqueraded = netlink ? work(*netlink, plan) : Status(netlink.error());
  if (masqueraded) return {};
  if (const Status gone = unmap_all(context); !gone)
    context.note("after the failed ADD, " + gone.error().message());
  return masqueraded;
}

// The part of an ADD that follows the creation of the interface.
Status map_ports(const app::CommandContext& context, const std::string& result) {
  const std::optional<config::Delegate>& plugin = context.conf.delegate;
  Result<nft::Plan> plan =
      app::plan_of(context, result, plugin ? "result of delegate " + plugin->type : "prevResult");
  if (!plan) {
    Error error = plan.error();
    if (plugin && error.kind == ErrorKind::invalid_input) error.kind = ErrorKind::delegate_failed;
    return error;
  }
  app::find_way_of_loopback(*plan);
  app::note_host(*plan);
  context.note_all(plan->notes);
  // Without ports: what an ADD before has published is wanted no more.
  const Result<bool> may_be_masqueraded =
      plan->translations.empty() ? unmap_ports(context) : publish_with_effects(context, *plan);
  if (!may_be_masqueraded) return may_be_masqueraded.error();
  if (plan->egress.empty() && !*may_be_masqueraded) return {};
  return masquerade(context, *plan);
}

// After an ADD that failed the delegate's interface must not stay behind, and before its address is
// released nothing may lead there: not what an ADD before has published either. Where a plugin
// before ours made the interface, it stays, and so do the ports that it has.
void take_back(const app::CommandContext& context) {
  if (!context.conf.delegate) return;
  if (const Status unmapped = unmap_all(context); !unmapped)
    return context.note("after the failed ADD, the delegate's interface stays until DEL: " +
                        unmapped.error().message());
  const Result<std::string> undone = app::run_delegate(context, cni::Command::del, nullptr);
  if (!undone) context.note("after the failed ADD, " + undone.error().message());
}

}  // namespace

Result<std::string> add(const app::CommandContext& context) {
  context.note_all(context.conf.notes);
  Result<std::string> result = context.conf.delegate
                                   ? app::run_delegate(context, cni::Command::add, nullptr)
                                   : Result<std::string>(*context.conf.prev_result);
  if (!result) {
    // One that failed half-way, or was killed, may have made a part of the interface.
    if (result.error().kind != ErrorKind::delegate_missing) take_back(context);
    return result.error();
  }
  const Status mapped = map_ports(context, *result);
  if (mapped) return result;
  take_back(context);
  return mapped.error();
}

}  // namespace portmapper::plugin
