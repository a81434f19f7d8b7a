#include "lib/app/portmap_rules.hpp"

#include "lib/host/legacy_nat.hpp"
#include "nft/names.hpp"

namespace portmapper::app {
namespace {

// The command would be as long as the batch.
constexpr std::size_t kMostShown = 40;

// They are outside of nf_tables, and another program's.
void note_legacy(const Attachment& attachment, const std::string& whose,
                 std::vector<std::string>& notes) {
  const std::string chain =
      nft::portmap::container_chain(attachment.network, attachment.container_id);
  for (const Family family : kFamilies) {
    const host::LegacyChain found = host::look_for_legacy_chain(family, chain);
    if (found == host::LegacyChain::none) continue;
    const std::string iptables = family == Family::ipv4 ? "iptables-legacy" : "ip6tables-legacy";
    notes.push_back("portmap's rules" + whose +
                    (found == host::LegacyChain::there ? " are in " : " may be in ") + iptables +
                    ", where they stay, and lead to whoever gets its address: " + iptables +
                    "-save -t nat | grep -v " + chain + " | " + iptables +
                    "-restore -T nat removes them");
  }
}

}  // namespace

Error not_removed(Error error, const nft::portmap::Removal& removal) {
  error.what += " to remove portmap's rules, which stay";
  if (removal.rules.size() + removal.chains.size() <= kMostShown)
    error.what += "; this removes them: " + to_string(removal);
  return error;
}

std::optional<nft::portmap::ChainAt> chain_in_use(const nft::CommitResult& result,
                                                  const nft::portmap::Removal& removal) {
  if (!result.refusal || result.refusal->error_number != EBUSY || !result.refusal->operation)
    return std::nullopt;
  const std::size_t rules = removal.rules.size();
  const std::size_t at = *result.refusal->operation;
  if (at < rules) return std::nullopt;
  return removal.chains.at(at - rules);
}

void end_portmap_rules(Transport& transport, const Attachment& attachment,
                       std::vector<std::string>& notes) {
  const std::string whose = " of " + nft::attachment_comment(attachment);
  const auto gone = remove_portmap_rules(
      transport, [&](bool) { return nft::read_portmap_removal(transport, attachment); });
  if (!gone)
    notes.push_back(
        "portmap's rules" + whose +
        " may be left, and lead to whoever gets its address: " + gone.error().message());
  else if (!gone->empty())
    notes.push_back("removed portmap's rules" + whose);
  if (gone && gone->empty()) note_legacy(attachment, whose, notes);
}

}  // namespace portmapper::app
