// dump: has the kernel dump sets of the table nft-port-mapper and throws away what comes.
//
//   dump SET...
//
// What listing costs in the kernel alone.

#include <cstdio>

#include "lib/base/netlink.hpp"
#include "nft/read/query.hpp"

int main(int argc, char** argv) {
  using namespace portmapper;
  using namespace portmapper::nft;
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return 1;
  for (int i = 1; i < argc; ++i) {
    std::size_t bytes = 0;
    Query query;
    query.all_elements(argv[i]);
    const Status status =
        query.run(*netlink, [&](const nlmsghdr& reply) { bytes += reply.nlmsg_len; });
    if (!status || bytes == 0) {
      std::fprintf(stderr, "cannot dump %s\n", argv[i]);
      return 1;
    }
  }
  return 0;
}
