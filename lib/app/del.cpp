#include "lib/app/call.hpp"
#include "lib/app/host_effects.hpp"
#include "lib/app/publish.hpp"

namespace portmapper {

// Our elements go before the interface: an address must not be used again while a DNAT leads to it.
Result<std::string> del(const Call& call) {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return netlink.error();
  const Result<Holding> gone = withdraw(*netlink, call.attachment(), call.chain());
  if (!gone) return gone.error();
  std::vector<std::string> notes;
  effects_of_del(*netlink, *gone, notes);
  for (const std::string& note : notes) call.note(note);
  const std::string* prev_result = call.conf.prev_result ? &*call.conf.prev_result : nullptr;
  const Result<std::string> deleted = delegate(call, Command::del, prev_result);
  if (!deleted) return deleted.error();
  return std::string();
}

}  // namespace portmapper
