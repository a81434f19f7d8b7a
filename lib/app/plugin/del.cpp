#include <cerrno>

#include "lib/app/host_effects.hpp"
#include "lib/app/plugin/commands.hpp"
#include "lib/app/publish.hpp"

namespace portmapper::plugin {
namespace {

Status unmap_ports(const app::Call& call) {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  // A kernel that does not speak netfilter has nothing of ours.
  if (!netlink && netlink.error().error_number == EPROTONOSUPPORT) return {};
  if (!netlink) return netlink.error();
  const Result<nft::Holding> gone =
      app::withdraw(*netlink, nft::owner_hash(call.attachment()), call.chain().name);
  if (!gone) return gone.error();
  std::vector<std::string> notes;
  app::effects_of_del(*netlink, *gone, notes);
  for (const std::string& note : notes) call.note(note);
  return {};
}

}  // namespace

// Our elements go before the interface: an address must not be used again while a DNAT leads to it.
Result<std::string> del(const app::Call& call) {
  if (const Status unmapped = unmap_ports(call); !unmapped) return unmapped.error();
  const std::string* prev_result = call.conf.prev_result ? &*call.conf.prev_result : nullptr;
  const Result<std::string> deleted = app::run_delegate(call, cni::Command::del, prev_result);
  if (!deleted) return deleted.error();
  return std::string();
}

}  // namespace portmapper::plugin
