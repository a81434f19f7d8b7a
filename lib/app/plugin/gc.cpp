#include <map>
#include <set>

#include "lib/app/host_effects.hpp"
#include "lib/app/plugin/commands.hpp"
#include "lib/app/publish.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::plugin {
namespace {

// What could not be done; the rest goes on.
class Failures {
 public:
  void add(const Error& error) {
    if (!first_) first_ = error;
    ++count_;
  }
  [[nodiscard]] bool empty() const { return !first_; }
  [[nodiscard]] Error error() const {
    Error error = *first_;
    if (count_ > 1) error.what = std::to_string(count_) + " failures, the first: " + error.what;
    return error;
  }

 private:
  std::optional<Error> first_;
  std::size_t count_ = 0;
};

// The attachments of this network that the runtime does not know, each with its chain.
Result<std::map<nft::OwnerHash, std::string>> unknown_attachments(
    Transport& transport, const app::CommandContext& context) {
  const Result<std::vector<nft::OwnerEntry>> entries = nft::read_owners(transport);
  if (!entries) return entries.error();
  std::set<nft::OwnerHash> valid;
  for (const config::ValidAttachment& attachment : *context.conf.valid_attachments)
    valid.insert(nft::owner_hash({context.conf.name, attachment.container_id, attachment.ifname}));
  const nft::OwnerHash network = nft::network_hash(context.conf.name);
  std::map<nft::OwnerHash, std::string> unknown;
  for (const nft::OwnerEntry& entry : *entries) {
    const bool is_its = entry.network ? *entry.network == network
                                      : nft::is_of_network(entry.comment, context.conf.name);
    if (valid.contains(entry.owner) || !is_its) continue;
    unknown.emplace(entry.owner, entry.chain.empty() ? context.chain().name : entry.chain);
  }
  return unknown;
}

void collect(const app::CommandContext& context, Failures& failures) {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return failures.add(netlink.error());
  const auto unknown = unknown_attachments(*netlink, context);
  if (!unknown) return failures.add(unknown.error());
  std::vector<std::string> notes;
  std::set<std::string> chains = {context.chain().name};
  for (const auto& [owner, chain] : *unknown) {
    chains.insert(chain);
    const Result<nft::InstalledPorts> gone = app::withdraw(*netlink, owner, chain);
    if (gone)
      app::effects_of_del(*netlink, *gone, notes);
    else
      failures.add(gone.error());
  }
  for (const std::string& chain : chains)
    if (const Status status = app::remove_chain_if_empty(*netlink, chain); !status)
      failures.add(status.error());
  for (const std::string& note : notes) context.note(note);
}

}  // namespace

Result<std::string> gc(const app::CommandContext& context) {
  Failures failures;
  // Without a list nobody said what may go.
  if (context.conf.valid_attachments) collect(context, failures);
  const Result<std::string> delegated = app::run_delegate(context, cni::Command::gc, nullptr);
  if (!delegated) failures.add(delegated.error());
  if (!failures.empty()) return failures.error();
  return std::string();
}

}  // namespace portmapper::plugin
