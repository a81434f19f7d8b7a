// ChangeReader: what nftables' own messages tell of changes to our tables, and by whom.
//
//   ChangeReader reader;
//   const auto on_message = [&reader](const nlmsghdr& message) {  // of the group NFNLGRP_NFTABLES
//     if (const auto change = reader.read(message)) use(change->is_ours);
//   };
//   use(on_message);
//
// A batch's messages come one after the other, and behind them the number of the new generation with the
// name of the process that committed it. So a change is told once for each batch that touched anything of
// our table, or of that of what is masqueraded: table, chain, rule, set or element. Our two programs have
// one name there, since the kernel keeps fifteen characters of it, and the plugin takes it where its file has
// another (lib/base/process_name); anybody else may take it, so nothing may rest on it that matters.
// Errors: none; what is malformed is not there. Source: kernel net/netfilter/nf_tables_api.c,
// nf_tables_gen_notify; include/uapi/linux/netfilter/nf_tables.h.
#pragma once

#include <linux/netlink.h>

#include <optional>

namespace portmapper::nft {

struct TableChange {
  bool is_ours = false;  // by one of our programs
};

class ChangeReader {
 public:
  // Of the last message of a batch that changed our table; of all others nothing.
  std::optional<TableChange> read(const nlmsghdr& message);
  // After lost messages: what was read of the batch proves nothing.
  void forget() { is_touched_ = false; }

 private:
  bool is_touched_ = false;
};

}  // namespace portmapper::nft
