// What the config key `chain` may be: a name that nft can read again after it listed it.
//
//   chain_name_complaint("MESOS-WEB");  // empty: it may be used
//   chain_name_complaint("ip");         // "is a word of nft's own language"
//
// The kernel takes any name; nft 1.0.6 prints it without quotes, so that a table with a chain named
// `accept` or `my chain` cannot be loaded again. It has at most kMaxChainName bytes
// (lib/base/table_names). Errors: none; the complaint completes a sentence that begins with the
// name. Does not promise: that words which a later nft reserves are refused. Source: experiment
// with nft 1.0.6 (packages.debian.org/bookworm/nftables), see chain_name.cpp.
#pragma once

#include <string_view>

namespace portmapper::config {

std::string_view chain_name_complaint(std::string_view name);

}  // namespace portmapper::config
