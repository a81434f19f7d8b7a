#include "lib/app/plugin/commands.hpp"
#include "lib/app/publish.hpp"

namespace portmapper::plugin {

// Could an ADD work now? What it would build is tried in a batch that the kernel then undoes.
Result<std::string> status(const app::CommandContext& context) {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  const Status tried =
      netlink ? app::try_network(*netlink, context.chain()) : Status(netlink.error());
  if (!tried) {
    Error error = tried.error();
    error.kind = ErrorKind::not_available;
    error.what = "nf_tables cannot be used here: " + error.what;
    return error;
  }
  const Result<std::string> delegated = app::run_delegate(context, cni::Command::status, nullptr);
  if (!delegated) return delegated.error();
  return std::string();
}

}  // namespace portmapper::plugin
