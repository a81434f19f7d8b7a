#include <cerrno>

#include "lib/app/egress.hpp"
#include "lib/app/plugin/commands.hpp"
#include "lib/app/portmap_rules.hpp"
#include "lib/app/publish.hpp"

namespace portmapper::plugin {
namespace {

enum class What { ports, all, portmaps_too };

// Where a configuration names us in place of portmap, the DELs of its containers come to us, and nobody else
// ever removes its rules: they would lead to whoever gets the address. Nothing is looked for where an ADD of
// ours had published, nor without port mappings, for which portmap wrote no rules.
bool may_be_portmaps(const app::CommandContext& context, const nft::InstalledPorts& gone) {
  return (gone.empty() || gone.restored) && !context.conf.mappings.empty() &&
         !context.conf.delegate;
}

// True: there is a table of those who are masqueraded, and the attachment was left in it.
Result<bool> unmap(const app::CommandContext& context, What what) {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  // A kernel without netfilter has nothing of ours.
  if (!netlink && netlink.error().error_number == EPROTONOSUPPORT) return false;
  if (!netlink) return netlink.error();
  std::vector<std::string> notes;
  const auto gone =
      app::withdraw(*netlink, {nft::owner_hash(context.attachment()), context.chain().name}, notes,
                    context.conf.close_connections);
  if (gone && what == What::portmaps_too && may_be_portmaps(context, *gone))
    app::end_portmap_rules(*netlink, context.attachment(), notes);
  context.note_all(notes);
  const bool may_be_masqueraded = !gone || gone->may_be_masqueraded;
  Result<bool> unmasqueraded = false;
  if (what != What::ports && may_be_masqueraded)
    unmasqueraded = app::unmasquerade(*netlink, nft::owner_hash(context.attachment()));
  if (!gone) return gone.error();
  if (!unmasqueraded) return unmasqueraded.error();
  return what == What::ports && may_be_masqueraded;
}

}  // namespace

Result<bool> unmap_ports(const app::CommandContext& context) {
  return unmap(context, What::ports);
}

Status unmap_all(const app::CommandContext& context) {
  const Result<bool> unmapped = unmap(context, What::all);
  return unmapped ? Status() : Status(unmapped.error());
}

// Our elements go before the interface: an address must not be used again while a DNAT leads to it.
Result<std::string> del(const app::CommandContext& context) {
  if (const Result<bool> unmapped = unmap(context, What::portmaps_too); !unmapped)
    return unmapped.error();
  const std::string* prev_result = context.conf.prev_result ? &*context.conf.prev_result : nullptr;
  const Result<std::string> deleted = app::run_delegate(context, cni::Command::del, prev_result);
  if (!deleted) return deleted.error();
  return std::string();
}

}  // namespace portmapper::plugin
