// demand_round_trip: a plan, encoded as ADD sends it, decodes to the same ports and endpoints.
//
//   demand_round_trip(plan);
//
// The kernel lists elements in the form in which it gets them, so nft/read/element_view and nft/key
// read the batch itself. Errors: those of demand().
#pragma once

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <string>
#include <vector>

#include "lib/base/attributes.hpp"
#include "nft/encode.hpp"
#include "nft/key.hpp"
#include "nft/read/element_view.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace portmapper::fuzz {

inline void demand_round_trip(const nft::Plan& plan) {
  const std::vector<std::string> jumps = {plan.chain.name};
  nft::Transaction transaction = nft::build_tables(plan.chain, jumps, {});
  transaction.append(nft::insertion(plan));
  const nft::Batch batch = nft::encode(transaction);
  std::vector<nft::PublishedPort> owned, claimed;
  std::vector<nft::Translation> translated;
  for (Bytes rest = batch.messages.bytes(); !rest.empty();) {
    demand(rest.size() >= NLMSG_HDRLEN, "a message has a header");
    const auto& message = *reinterpret_cast<const nlmsghdr*>(rest.data());
    const std::size_t length = NLMSG_ALIGN(message.nlmsg_len);
    demand(length >= NLMSG_HDRLEN && length <= rest.size(), "a message ends within the batch");
    rest = rest.subspan(length);
    if (message.nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM)) continue;
    const auto set = Attributes(message_attributes(message, sizeof(nfgenmsg)))
                         .find(NFTA_SET_ELEM_LIST_SET)
                         .value()
                         .text();
    nft::for_each_element(message, [&](const nft::ElementView& element) {
      if (set == nft::kOwners) owned.push_back(nft::parse_owner_data(element.data).value());
      for (const nft::Suffix suffix : nft::kSuffixes) {
        if (set == nft::claim_set(suffix)) {
          const bool asserted = element.userdata.empty();  // created and deleted
          if (!asserted) claimed.push_back(nft::parse_claim_key(element.key, suffix).value());
        }
        if (set == nft::target_map(plan.chain.name, suffix))
          translated.push_back({nft::parse_claim_key(element.key, suffix).value(),
                                nft::parse_target_data(element.data, suffix.family).value()});
      }
    });
  }
  const auto by_port = [](const nft::Translation& a, const nft::Translation& b) {
    return a.published < b.published;
  };
  std::vector<nft::Translation> wanted = plan.translations;
  std::sort(wanted.begin(), wanted.end(), by_port);
  std::sort(translated.begin(), translated.end(), by_port);
  std::sort(claimed.begin(), claimed.end());
  std::sort(owned.begin(), owned.end());
  demand(translated == wanted, "the targets are those of the plan", to_string(plan));
  demand(claimed == owned && owned.size() == wanted.size(), "claims and owners are those of it",
         to_string(plan));
  for (std::size_t i = 0; i < owned.size(); ++i)
    demand(owned[i] == wanted[i].published, "each port has its owner", to_string(plan));
}

}  // namespace portmapper::fuzz
