#include "lib/app/adopt/adopt.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <thread>

#include "lib/app/adopt/record.hpp"
#include "lib/app/adopt/turn.hpp"
#include "lib/app/adopt/way.hpp"
#include "lib/app/host_processes.hpp"
#include "lib/app/portmap_rules.hpp"
#include "lib/app/publish.hpp"
#include "lib/app/restore/record_types.hpp"
#include "lib/app/retry.hpp"
#include "lib/cni/plugin_input.hpp"
#include "lib/host/exchange_file.hpp"
#include "lib/host/local_addresses.hpp"
#include "lib/host/netns_addresses.hpp"
#include "lib/host/new_file.hpp"
#include "nft/foreign/legacy_reader.hpp"
#include "nft/foreign/reader.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::adopt {
namespace {

using nft::foreign::PortmapMapping;
using nft::foreign::PortmapPart;
using restore::Restored;
using restore::Seen;

// How long a DEL that has removed portmap's rules may take to its end, where the record goes.
constexpr std::chrono::milliseconds kEndOfDel{1000};

constexpr char kDeleted[] = "it was deleted, or made again, meanwhile";

std::string ended(const nft::Plan& plan) {
  return "it ended meanwhile: no network namespace " + plan.netns.path + " has its address";
}

// The host's process that would be found at one of its addresses again: portmap takes a port from whoever has it,
// ours leaves it to who has one address.
std::string why_served(const PortmapPart& part, const std::vector<host::Listener>& listeners) {
  std::vector<nft::PublishedPort> ports;
  for (const PortmapMapping& mapping : part.mappings)
    if (mapping.published.address.is_any()) ports.push_back(mapping.published);
  for (const app::HostProcess& process : app::host_processes(ports, listeners, {})) {
    const IpAddress& address = process.listener.address;
    if (process.is_hidden || address.is_loopback() || app::stays_the_hosts(address)) continue;
    return app::name_of(process.listener) + " listens on " + app::place_of(process.listener) +
           ", where portmap hides it and ours would not: stop it, or let it listen elsewhere";
  }
  return {};
}

bool is_part_of(const nft::portmap::Removal& now, const nft::portmap::Removal& then) {
  const std::set<nft::portmap::RuleAt> rules(then.rules.begin(), then.rules.end());
  return std::all_of(now.rules.begin(), now.rules.end(),
                     [&rules](const auto& rule) { return rules.contains(rule); });
}

class Adopter {
 public:
  Adopter(Transport& transport, const Options& options)
      : transport_(transport), options_(options) {}

  Result<Adopted> run() {
    if (const Status read = read_all(); !read) return read.error();
    adopted_.entries = join(parts_, seen_, facts_);
    const bool takes_any = std::any_of(adopted_.entries.begin(), adopted_.entries.end(),
                                       [](const Entry& entry) { return entry.is_taken(); });
    if (options_.dry_run || !takes_any) return std::move(adopted_);
    change_records();
    publish();
    undo_records();
    remove_theirs();
    return std::move(adopted_);
  }

 private:
  Status read_parts() {
    Result<nft::foreign::Ruleset> others =
        app::retried([this] { return nft::foreign::read_ruleset(transport_); });
    if (!others) return others.error();
    others_ = *std::move(others);
    nft::foreign::LegacyTables legacy = nft::foreign::read_legacy();
    others_.chains.merge(legacy.chains);
    unread_ = std::move(legacy.unread);
    parts_ = nft::foreign::portmap_parts(others_);
    return {};
  }

  Status look_at_ways() {
    if (parts_.empty()) return {};
    Result<std::vector<IpAddress>> addresses = host::local_addresses();
    if (!addresses) return addresses.error();
    std::vector<nft::PublishedPort> ports;
    for (const PortmapPart& part : parts_)
      for (const PortmapMapping& mapping : part.mappings) ports.push_back(mapping.published);
    const auto listeners = app::listeners_on(ports);
    if (!listeners) return listeners.error();
    Ways ways(others_, parts_, *std::move(addresses));
    for (PortmapPart& part : parts_) {
      if (part.oddities.empty()) part.others = ways.why_not(part);
      if (part.oddities.empty() && part.others.empty()) part.others = why_served(part, *listeners);
    }
    return {};
  }

  Status read_all() {
    if (const Status read = read_parts(); !read) return read;
    for (const std::string& table : unread_)
      adopted_.problems.push_back("table " + table + " of iptables-legacy could not be read");
    Result<Restored> seen = restore::restore(transport_, options_.sources, restore::Mode::dry_run,
                                             {.types = types_, .is_all = false});
    if (!seen) return seen.error();
    note_problems(*seen);
    seen_ = std::move(seen->seen);
    if (const Status looked = look_at_ways(); !looked) return looked;
    facts_.portmap = host::find_portmap(options_.cni_path);
    const auto& directory = options_.network_directory;
    const Result<std::vector<NetworkFile>> files = read_networks(
        directory ? std::vector{*directory} : usual_network_directories(), directory.has_value());
    if (!files) return files.error();
    for (const NetworkFile& file : *files)
      if (!file.distrust.empty()) adopted_.problems.push_back(file.distrust);
    facts_.networks =
        networks_of(*files, facts_.portmap.whose == host::PortmapProgram::Whose::ours);
    return {};
  }

  // Of a record that can be read, the problem is the reason why its rules stay, if it has any.
  void note_problems(const Restored& restored) {
    std::set<std::string> told(adopted_.problems.begin(), adopted_.problems.end());
    for (const Seen& seen : restored.seen)
      if (!seen.names.container_id.empty()) told.insert(seen.problem);
    for (const std::string& problem : restored.problems)
      if (!told.contains(problem)) adopted_.problems.push_back(problem);
  }

  // First of all: a DEL that begins from here on comes to us, and one that began before has the time in
  // which restore looks again.
  void change_records() {
    if (facts_.portmap.whose == host::PortmapProgram::Whose::ours)
      return;  // so does the DEL of portmap
    for (Entry& entry : adopted_.entries) {
      if (!entry.is_taken()) continue;
      const auto seen = std::find_if(seen_.begin(), seen_.end(),
                                     [&entry](const Seen& one) { return one.path == entry.path; });
      const Result<bool> done = changes_[entry.path].make(entry.path, seen->state);
      if (done && !*done) entry.reason = kDeleted;
      if (!done)
        entry.reason = done.error().message() +
                       "; where its record does not name ours, the DEL of podman and CRI-O goes to"
                       " portmap";
    }
  }

  void undo_records() {
    for (const Entry& entry : adopted_.entries) {
      const auto change = changes_.find(entry.path);
      if (change == changes_.end() || entry.is_taken()) continue;
      if (const Status done = change->second.undo(); !done)
        adopted_.problems.push_back(done.error().message());
    }
  }

  void publish() {
    std::map<Attachment, const Entry*> taken;
    for (const Entry& entry : adopted_.entries)
      if (entry.is_taken()) taken.emplace(entry.names, &entry);
    const auto takes = [&taken](const nft::Plan& plan) {
      const auto entry = taken.find(plan.attachment);
      return entry != taken.end() && mappings_of(plan) == entry->second->mappings;
    };
    Result<Restored> published =
        restore::restore(transport_, options_.sources, restore::Mode::publish,
                         {.types = types_, .takes = takes, .is_all = false});
    if (published) {
      note_problems(*published);
      adopted_.notes = std::move(published->notes);
      for (Seen& seen : published->seen) published_.emplace(seen.path, std::move(seen));
    } else {
      for (const Seen& seen : seen_)
        published_.emplace(seen.path, seen);  // nobody knows which of them
    }
    for (Entry& entry : adopted_.entries) {
      if (!entry.is_taken()) continue;
      entry.reason = published ? why_not_ours(entry) : published.error().message();
      if (!entry.is_taken()) take_back(entry);
    }
  }

  // Reads again what the kernel has of it.
  std::string why_not_ours(const Entry& entry) {
    const auto seen = published_.find(entry.path);
    if (seen == published_.end() || !seen->second.plan) return kDeleted;
    if (seen->second.standing == restore::Standing::gone) return ended(*seen->second.plan);
    if (!seen->second.problem.empty()) return seen->second.problem;
    const nft::Plan& plan = *seen->second.plan;
    const auto installed = app::retried([&] {
      return nft::read_installed_ports(transport_, nft::owner_hash(plan.attachment),
                                       plan.chain.name);
    });
    if (!installed) return installed.error().message();
    std::vector<PortmapMapping> held;
    for (const nft::InstalledPort& port : installed->installed.ports)
      if (port.endpoint || port.standby)
        held.push_back({port.published, port.endpoint ? *port.endpoint : *port.standby});
    std::sort(held.begin(), held.end());
    if (!nft::is_whole(installed->installed) || held != entry.mappings)
      return "its ports are not all ours after they were published: nft-port-mapperctl check says"
             " more, and adopt may be run again";
    return {};
  }

  // What is left of each, by its record, with the generation in which it was read.
  Result<nft::PortmapLeft> read_again(bool has_begun) {
    const Result<std::uint32_t> generation = nft::read_generation(transport_);
    if (!generation) return generation.error();
    if (const Status read = read_parts(); !read) return read.error();
    std::map<std::string, nft::portmap::Removal> now;
    for (Entry& entry : join(parts_, seen_, facts_))
      if (!entry.path.empty()) now[entry.path] = std::move(entry.removal);
    nft::PortmapLeft left{.removal = {}, .generation = *generation};
    if (!has_begun) bare_.clear();
    for (Entry& entry : adopted_.entries) {
      if (!entry.is_taken()) continue;
      const auto found = now.find(entry.path);
      if (found == now.end()) {
        if (!has_begun) bare_.push_back(&entry);  // else it was the part before
      } else if (!is_part_of(found->second, entry.removal)) {
        entry.reason = "portmap wrote other rules for it meanwhile: run adopt again";
      } else {
        left.removal.append(found->second);
      }
    }
    return left;
  }

  void remove_theirs() {
    const Result<nft::portmap::Removal> gone = app::remove_portmap_rules(
        transport_, [this](bool has_begun) { return read_again(has_begun); });
    settle_bare();
    if (gone)
      adopted_.removed = gone->rules.size();
    else
      adopted_.not_removed = gone.error().message();
  }

  // Rules that somebody else removed prove no DEL: a flush does the same, and so does another adopt.
  void settle_bare() {
    if (bare_.empty()) return;
    std::this_thread::sleep_for(kEndOfDel);
    for (Entry* entry : bare_) {
      entry->reason = why_over(*entry);
      if (!entry->is_taken()) take_back(*entry);
    }
  }

  [[nodiscard]] std::string why_over(const Entry& entry) const {
    const Seen& seen = published_.at(entry.path);
    if (host::file_state(entry.path) != seen.state) return kDeleted;
    const std::string& netns = seen.plan->netns.path;
    const host::NetnsAddresses inside = host::read_netns_addresses({netns}).at(netns);
    if (inside.error || restore::is_inside(*seen.plan, inside)) return {};
    return ended(*seen.plan);
  }

  // What restore published, and nothing else.
  void take_back(const Entry& entry) {
    const auto seen = published_.find(entry.path);
    if (seen == published_.end() || !seen->second.plan) return;
    const nft::Plan& plan = *seen->second.plan;
    const auto gone = app::withdraw(transport_,
                                    {nft::owner_hash(plan.attachment), plan.chain.name, plan.netns,
                                     /*only_restored=*/true},
                                    adopted_.notes, plan.close_connections);
    if (!gone) adopted_.problems.push_back(gone.error().message());
  }

  Transport& transport_;
  const Options& options_;
  // Of an adopt that was ended before portmap's rules went, the records are ours already.
  const restore::TypesOf types_ = restore::types_of(/*portmap_is_ours=*/true);
  nft::foreign::Ruleset others_{};
  std::vector<PortmapPart> parts_{};
  std::vector<std::string> unread_{};
  std::vector<Seen> seen_{};
  Facts facts_{};
  std::map<std::string, Seen> published_{};        // by record
  std::map<std::string, RecordChange> changes_{};  // likewise
  std::vector<Entry*> bare_{};                     // whose rules were gone before they were to go
  Adopted adopted_{};
};

}  // namespace

Result<Adopted> adopt(Transport& transport, const Options& options) {
  Turn turn;
  if (!options.dry_run) {
    Result<Turn> taken = take_turn();
    if (!taken) return taken.error();
    turn = *std::move(taken);
    // Of one that was killed.
    for (const restore::Source& source : options.sources)
      if (turn.lock && source.kind == restore::Source::Kind::libcni)
        (void)host::remove_unfinished(host::directory_of(source.path));
  }
  Result<Adopted> adopted = Adopter(transport, options).run();
  if (adopted && !turn.note.empty()) adopted->notes.push_back(std::move(turn.note));
  return adopted;
}

}  // namespace portmapper::adopt
