#include <cerrno>
#include <map>
#include <memory>
#include <numeric>
#include <set>

#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/listing.hpp"
#include "lib/app/egress.hpp"
#include "lib/app/exposure.hpp"
#include "lib/app/host_effects.hpp"
#include "lib/app/publish.hpp"
#include "lib/app/retry.hpp"
#include "lib/base/counted.hpp"
#include "lib/base/escape.hpp"
#include "lib/host/loopback_route.hpp"
#include "lib/host/route_localnet.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::ctl {
namespace {

// The devices that ADDs opened for 127.0.0.0/8: those of the record; and of ports that an older version published,
// which kept none, those that lead to them.
Result<std::set<std::string>> opened_devices(Transport& transport) {
  const Result<std::vector<std::string>> recorded =
      nft::read_opened_devices(transport, Family::ipv4);
  if (!recorded) return recorded.error();
  std::set<std::string> devices(recorded->begin(), recorded->end());
  const Result<std::vector<nft::ClaimEntry>> unlisted = nft::read_unlisted_loopback(transport);
  if (!unlisted) return unlisted.error();
  if (unlisted->empty()) return devices;
  const Result<std::vector<ListedPort>> ports = list_ports(transport);
  if (!ports) return ports.error();
  for (const ListedPort& port : *ports) {
    if (!port.endpoint || port.standby || !app::is_reachable_by_localnet(port.published)) continue;
    const Result<host::Way> way = host::way_to(port.endpoint->address);
    if (way && way->is_attached) devices.insert(way->device);
  }
  return devices;
}

void count_failure(const Error& error, app::Outcome& outcome) {
  outcome.log += failure(error).log;
  outcome.status = kProblem;
}
void count(const Status& done, app::Outcome& outcome) {
  if (!done) count_failure(done.error(), outcome);
}

// Under the generation: an ADD between the look and the end of the guard would leave its device open.
Result<app::Outcome> flush_table(Transport& transport) {
  const Result<std::uint32_t> generation = nft::read_generation(transport);
  if (!generation) return generation.error();
  const Result<std::set<std::string>> devices = opened_devices(transport);
  if (!devices) return devices.error();
  const Result<std::vector<std::string>> routes = nft::read_opened_devices(transport, Family::ipv6);
  if (!routes) return routes.error();
  app::Outcome outcome;
  for (const std::string& device : *devices)  // while the guard is there
    count(host::disable_route_localnet(device), outcome);
  for (const std::string& device : *routes) count(host::remove_loopback_route(device), outcome);
  nft::Transaction transaction{.operations = {}, .generation = *generation};
  transaction.operations.emplace_back(nft::DeleteTable{});
  const nft::CommitResult gone = nft::commit(transport, transaction);
  const bool was_missing = gone.refusal && gone.refusal->error_number == ENOENT;
  if (const Status status = to_status(gone, transaction); !status && !was_missing)
    return status.error();
  outcome.out = was_missing ? "there is no table inet nft-port-mapper\n"
                            : "removed table inet nft-port-mapper\n";
  return outcome;
}

app::Outcome flush_all(Transport& transport) {
  Result<app::Outcome> done = app::retried([&transport] { return flush_table(transport); });
  if (!done) return failure(done.error());
  std::vector<std::string> notes;
  app::effects_of_flush(transport, notes);
  done->log += log_lines(notes);
  const Result<bool> masqueraded = app::delete_egress_table(transport);
  if (!masqueraded) count_failure(masqueraded.error(), *done);
  if (masqueraded && *masqueraded)
    done->out += std::string("removed table inet ") + nft::kEgressTable + "\n";
  return *done;
}

// What was removed of one network's attachments, and in which chains: up to the first error.
struct Removed {
  std::vector<nft::InstalledPorts> attachments;
  std::set<std::string> chains;
  std::size_t ports = 0;
};

Status remove_attachments(Transport& transport, const std::string& network, Removed& removed,
                          std::vector<std::string>& notes) {
  const Result<std::vector<nft::OwnerEntry>> entries =
      app::retried([&transport] { return nft::read_owners(transport); });
  if (!entries) return entries.error();
  const std::string derived = nft::derived_chain(network);
  removed.chains.insert(derived);
  for (const nft::Withdrawal& withdrawal : nft::decide_gc(*entries, network, {}, derived)) {
    removed.chains.insert(withdrawal.chain);
    Result<nft::InstalledPorts> gone = app::withdraw_ports(transport, withdrawal, notes);
    if (!gone) return gone.error();
    if (gone->empty()) continue;
    removed.chains.insert(gone->chain);
    removed.ports += gone->ports.size();
    removed.attachments.push_back(std::move(*gone));
  }
  return {};
}

// Of one network: its attachments, and its chains where nothing is left in them.
app::Outcome flush_network(Transport& transport, const std::string& network) {
  Removed removed;
  std::vector<std::string> notes;
  const Status done = remove_attachments(transport, network, removed, notes);
  app::effects_of_dels(transport, removed.attachments, notes);
  app::Outcome outcome;
  outcome.log = log_lines(notes);
  outcome.out =
      "removed " + std::to_string(removed.ports) + " published ports of network " + network + "\n";
  count(done, outcome);
  if (!done) return outcome;
  for (const std::string& chain : removed.chains)
    count(app::remove_network_if_empty(transport, chain), outcome);
  const Result<app::Unmasqueraded> done_too = app::unmasquerade_unknown(transport, network, {});
  if (!done_too) {
    count_failure(done_too.error(), outcome);
    return outcome;
  }
  if (const std::size_t count = done_too->ended.size(); count != 0)
    outcome.out += "ended the masquerading of " + counted(count, "container") + "\n";
  for (const Error& error : done_too->failures) count_failure(error, outcome);
  return outcome;
}

// "would remove web/abc/eth0 (2 ports)", a line for each of these owners.
std::string lines_of(const std::vector<nft::OwnerEntry>& entries,
                     const std::set<nft::OwnerHash>& owners) {
  std::map<nft::OwnerHash, std::pair<std::string, std::size_t>> attachments;
  for (const nft::OwnerEntry& entry : entries) {
    if (!owners.contains(entry.owner)) continue;
    auto& [comment, ports] = attachments[entry.owner];
    comment = printable(entry.comment);
    ++ports;
  }
  std::multiset<std::string> lines;
  for (const auto& [owner, attachment] : attachments)
    lines.insert("would remove " + attachment.first + " (" + counted(attachment.second, "port") +
                 ")\n");
  return std::accumulate(lines.begin(), lines.end(), std::string());
}

std::set<nft::OwnerHash> owners_of(const std::vector<nft::OwnerEntry>& entries,
                                   const std::optional<std::string>& network) {
  std::set<nft::OwnerHash> owners;
  if (!network)
    for (const nft::OwnerEntry& entry : entries) owners.insert(entry.owner);
  else
    for (const nft::Withdrawal& one :
         nft::decide_gc(entries, *network, {}, nft::derived_chain(*network)))
      owners.insert(one.owner);
  return owners;
}

Result<std::string> preview_network(Transport& transport, const std::string& network) {
  const Result<std::vector<nft::OwnerEntry>> entries = nft::read_owners(transport);
  if (!entries) return entries.error();
  return lines_of(*entries, owners_of(*entries, network));
}

// A table whose elements cannot be read, since somebody put another object in the place of one of
// ours, is one more reason to remove it.
Result<std::string> preview_all(Transport& transport) {
  const Result<bool> exists = nft::has_table(transport);
  if (!exists) return exists.error();
  if (!*exists) return std::string();
  std::string text;
  if (const Result<std::vector<nft::OwnerEntry>> entries = nft::read_owners(transport))
    text = lines_of(*entries, owners_of(*entries, {}));
  else if (app::changed_concurrently(entries.error().error_number))
    return entries.error();
  else
    text = "the published ports cannot be read: " + printable(entries.error().message()) + "\n";
  if (const Result<std::set<std::string>> devices = opened_devices(transport))
    for (const std::string& device : *devices)
      text += "would reset route_localnet of " + printable(device) + "\n";
  return text + "would remove table inet nft-port-mapper\n";
}

// "would end the masquerading of web/abc/eth0", a line for each, and that the table goes.
Result<std::string> preview_egress(Transport& transport,
                                   const std::optional<std::string>& network) {
  const Result<app::Masqueraded> masqueraded = app::masqueraded(transport, network);
  if (!masqueraded) return masqueraded.error();
  std::string text;
  for (const std::string& name : masqueraded->names)
    text += "would end the masquerading of " + printable(name) + "\n";
  if (!network && masqueraded->has_table)
    text += std::string("would remove table inet ") + nft::kEgressTable + "\n";
  return text;
}

std::string question_of(const std::optional<std::string>& network, bool has_ports,
                        bool is_masqueraded) {
  const std::string of = network ? " of network " + printable(*network) : "";
  if (!has_ports) return "End all masquerading" + of + "?";
  return (network ? "Close the ports" + of : "Close all published ports") +
         (is_masqueraded ? ", and end all masquerading?" : "?");
}

app::Outcome flush_now(Transport& transport, const std::optional<std::string>& network) {
  return network ? flush_network(transport, *network) : flush_all(transport);
}

}  // namespace

app::Outcome flush(const Arguments& arguments) {
  const auto network = arguments.value("--network");
  Result<Netlink> opened = Netlink::open(NETLINK_NETFILTER);
  if (!opened) return could_not_look(opened.error());
  const auto netlink = std::make_shared<Netlink>(std::move(*opened));
  const Result<std::string> preview = app::retried([&netlink, &network] {
    return network ? preview_network(*netlink, *network) : preview_all(*netlink);
  });
  if (!preview) return could_not_look(preview.error());
  const Result<std::string> egress = preview_egress(*netlink, network);
  if (!egress) return could_not_look(egress.error());
  // Without either nothing is lost: what may be left are traces.
  if (arguments.has("--yes") || (preview->empty() && egress->empty()))
    return flush_now(*netlink, network);
  app::Outcome outcome;
  outcome.status = kWrongUsage;
  outcome.out = *preview + *egress;
  outcome.log = log_lines({"nothing was removed: nobody can be asked here; flush --yes does it"});
  outcome.question = question_of(network, !preview->empty(), !egress->empty());
  outcome.after_yes = [netlink, network] { return flush_now(*netlink, network); };
  return outcome;
}

}  // namespace portmapper::ctl
