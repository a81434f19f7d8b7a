// has_legacy_nat: whether iptables-legacy has a table nat.
//
//   const Result<bool> has = has_legacy_nat(Family::ipv4);
//   if (has && !*has) use("none of its rules translates");
//
// Of the calling thread's network namespace. Reads a list, which makes no table, as iptables-legacy itself would.
// Errors: mapping_failed with the errno of open(2): root alone may read the list, and what is not seen there may be.
// Source: kernel net/netfilter/x_tables.c, xt_proto_init (/proc/net/ip_tables_names).
#pragma once

#include "lib/base/error.hpp"
#include "lib/base/ip_address.hpp"

namespace portmapper {

Result<bool> has_legacy_nat(Family family);

}  // namespace portmapper
