// Release: whether an event of the kernel may have freed a port that a plan wants.
//
//   const Release release(plan);
//   use(release.in(reply));  // a message of the group NFNLGRP_NFTABLES
//
// Events are of whatever table. An attachment holds a
// port as long as its owner entry is there, so a port is freed when an owner entry of that port is
// deleted, or the set, or the table; of any address, since addresses overlap. Errors: none; of what
// cannot be read it says that it may be. Does not promise: that the port is free, or is still.
// Source: kernel nf_tables_api.c, nf_tables_setelem_notify(); packaging/doc/design.md, "Waiting for
// a port".
#pragma once

#include <linux/netlink.h>

#include <set>

#include "nft/plan.hpp"

namespace portmapper::nft {

class Release {
 public:
  explicit Release(const Plan& plan);
  [[nodiscard]] bool in(const nlmsghdr& event) const;

 private:
  std::set<PublishedPort> wanted_;  // each on any address of its family
};

}  // namespace portmapper::nft
