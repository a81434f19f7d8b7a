#include <set>

#include "lib/app/egress.hpp"
#include "lib/app/host_effects.hpp"
#include "lib/app/lost_claims.hpp"
#include "lib/app/plugin/commands.hpp"
#include "lib/app/publish.hpp"

namespace portmapper::plugin {
namespace {

// Failures are collected; the rest continues.
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

std::set<nft::OwnerHash> valid_owners(const app::CommandContext& context) {
  std::set<nft::OwnerHash> valid;
  for (const config::ValidAttachment& one : *context.conf.valid_attachments)
    valid.insert(nft::owner_hash({context.conf.name, one.container_id, one.ifname}));
  return valid;
}

// The attachments of this network that the runtime does not know.
Result<std::vector<nft::Withdrawal>> unknown_attachments(Transport& transport,
                                                         const app::CommandContext& context) {
  const Result<app::Holdings> holdings = app::read_holdings(transport);
  if (!holdings) return holdings.error();
  const std::set<nft::OwnerHash> valid = valid_owners(context);
  const std::string& chain = context.chain().name;
  std::vector<nft::Withdrawal> unknown =
      nft::decide_gc(holdings->owners, context.conf.name, valid, chain);
  std::set<std::string> interfaces = app::interface_names(holdings->owners);
  for (const config::ValidAttachment& one : *context.conf.valid_attachments)
    interfaces.insert(one.ifname);
  const auto is_unknown = [&](const nft::ClaimEntry& claim) {
    return app::is_of_network(claim, context.conf.name, interfaces) &&
           !valid.contains(*claim.owner);
  };
  for (nft::Withdrawal& lost : app::withdrawals_of_lost(*holdings, chain, is_unknown))
    unknown.push_back(std::move(lost));
  return unknown;
}

void collect(const app::CommandContext& context, Failures& failures) {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return failures.add(netlink.error());
  const auto unknown = unknown_attachments(*netlink, context);
  if (!unknown) return failures.add(unknown.error());
  std::vector<std::string> notes;
  std::set<std::string> chains = {context.chain().name};
  std::vector<nft::InstalledPorts> all_gone;
  for (const nft::Withdrawal& withdrawal : *unknown) {
    chains.insert(withdrawal.chain);
    Result<nft::InstalledPorts> gone =
        app::withdraw_ports(*netlink, withdrawal, notes, context.conf.close_connections);
    if (!gone) {
      failures.add(gone.error());
      continue;
    }
    if (!gone->empty()) chains.insert(gone->chain);
    all_gone.push_back(std::move(*gone));
  }
  app::effects_of_dels(*netlink, all_gone, notes);
  const auto ended = app::unmasquerade_unknown(*netlink, context.conf.name, valid_owners(context));
  if (!ended) failures.add(ended.error());
  if (ended)
    for (const Error& failure : ended->failures) failures.add(failure);
  for (const std::string& chain : chains)
    if (const Status status = app::remove_network_if_empty(*netlink, chain); !status)
      failures.add(status.error());
  context.note_all(notes);
}

}  // namespace

Result<std::string> gc(const app::CommandContext& context) {
  Failures failures;
  // Without a list nothing may be removed.
  if (context.conf.valid_attachments) collect(context, failures);
  const Result<std::string> delegated = app::run_delegate(context, cni::Command::gc, nullptr);
  if (!delegated) failures.add(delegated.error());
  if (!failures.empty()) return failures.error();
  return std::string();
}

}  // namespace portmapper::plugin
