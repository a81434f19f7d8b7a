// read_legacy: the tables of iptables-legacy in this network namespace.
//
//   const LegacyTables tables = read_legacy();
//   others.chains.insert(tables.chains.begin(), tables.chains.end());
//   for (const std::string& name : tables.unread) use(name);  // "ip nat": there, but not readable
//
// Only tables that exist are asked for, since the question makes them. Errors: none; a table that
// cannot be read or understood is named. Without CAP_NET_ADMIN none is seen. Does not promise: to
// see a table that a kernel without /proc has. Source: kernel net/ipv4/netfilter/ip_tables.c
// (IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES), net/netfilter/x_tables.c.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "nft/foreign/foreign.hpp"

namespace portmapper::nft::foreign {

struct LegacyTables {
  std::map<Name, Chain> chains{};
  std::vector<std::string> unread{};
};

LegacyTables read_legacy();
// Of one family, those that exist.
std::vector<std::string> legacy_table_names(Family family);

}  // namespace portmapper::nft::foreign
