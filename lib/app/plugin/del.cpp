#include <cerrno>

#include "lib/app/plugin/commands.hpp"
#include "lib/app/publish.hpp"

namespace portmapper::plugin {

Status unmap_ports(const app::CommandContext& context) {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  // A kernel without netfilter has nothing of ours.
  if (!netlink && netlink.error().error_number == EPROTONOSUPPORT) return {};
  if (!netlink) return netlink.error();
  std::vector<std::string> notes;
  const auto gone =
      app::withdraw(*netlink, {nft::owner_hash(context.attachment()), context.chain().name}, notes,
                    context.conf.close_connections);
  context.note_all(notes);
  if (!gone) return gone.error();
  return {};
}

// Our elements go before the interface: an address must not be used again while a DNAT leads to it.
Result<std::string> del(const app::CommandContext& context) {
  if (const Status unmapped = unmap_ports(context); !unmapped) return unmapped.error();
  const std::string* prev_result = context.conf.prev_result ? &*context.conf.prev_result : nullptr;
  const Result<std::string> deleted = app::run_delegate(context, cni::Command::del, prev_result);
  if (!deleted) return deleted.error();
  return std::string();
}

}  // namespace portmapper::plugin
