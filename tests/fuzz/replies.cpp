// What the kernel answers about our own table: elements, chains, refusals with and without reasons.
// The first byte chooses the question.
#include <array>

#include "lib/app/ctl/audit.hpp"
#include "lib/app/ctl/facts.hpp"
#include "lib/app/ctl/port_table.hpp"
#include "lib/app/host_processes.hpp"
#include "lib/host/conntrack.hpp"
#include "lib/host/listeners.hpp"
#include "nft/commit.hpp"
#include "nft/encode.hpp"
#include "nft/read/reader.hpp"
#include "nft/read/translators.hpp"
#include "nft/transaction.hpp"
#include "tests/fuzz/answers.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace portmapper;
using namespace portmapper::ctl;
using namespace portmapper::host;
using namespace portmapper::nft;
using namespace portmapper::fuzz;

namespace {

const IpAddress kHost = *IpAddress::parse("192.0.2.1");
const Port kPort = *Port::from(8080);
const std::vector<PublishedPort> kPorts = {{IpAddress::any(Family::ipv4), Protocol::tcp, kPort},
                                           {kHost, Protocol::udp, kPort},
                                           {IpAddress::any(Family::ipv6), Protocol::tcp, kPort}};
const Attachment kAttachment{"web", "abc", "eth0"};
const IpPrefix kSubnet = *IpPrefix::parse("10.22.0.2/16");

Plan plan() {
  return make_plan({.attachment = kAttachment,
                    .chain = {"WEB", {"cni0"}},
                    .mappings = {{std::nullopt, Protocol::tcp, kPort, kPort}},
                    .addresses = {kSubnet}});
}

template <typename T>
void judge(const Result<T>& result) {
  if (!result) demand_error(result.error(), true);
}

void judge_listing(const Result<std::vector<ListedPort>>& ports) {
  judge(ports);
  if (!ports) return;
  demand_json("{\"ports\":" + format_json(*ports) + "}");
  for (const bool whole : {true, false})
    demand_printable(
        format_table(*ports, {.columns = wide_columns(), .is_cut = !whole, .has_whole_ids = whole}),
        true);
}

void judge_holding(Transport& kernel) {
  const Result<InstalledPortsAt> held =
      read_installed_ports(kernel, owner_hash(kAttachment), "WEB");
  judge(held);
  if (held) encode(removal(held->installed));
}

void judge_audit(Transport& kernel) {
  const Result<TableContents> contents = read_table(kernel);
  judge(contents);
  if (!contents) return;
  const Audit audit = audit_table(*contents);
  for (const portmapper::ctl::Finding& finding : audit.findings)
    demand_printable(to_string(finding));
  encode(audit.repair);
}

void judge_flows(Transport& kernel) {
  const HeldPort port{Protocol::udp, IpAddress::any(Family::ipv4), 8080, kSubnet.address, 53};
  judge(delete_stale_flows(kernel, {.left = {port}}, {&kHost, 1}));
  judge(others_translate(kernel, Family::ipv4));
}

void judge_listeners(Transport& kernel) {
  const ListenPort ports[] = {{Protocol::tcp, kPort}, {Protocol::udp, kPort}};
  const Result<std::vector<Listener>> found = find_listeners(kernel, ports);
  judge(found);
  if (!found) return;
  for (const app::HostProcess& process : app::meetings(kPorts, *found, {kPorts.front()}))
    demand_printable(app::sentence(process));
}

using Question = void (*)(Transport& kernel);
const std::array<Question, 19> kQuestions = {
    [](Transport& kernel) { judge(read_ruleset(kernel, plan().chain)); },
    [](Transport& kernel) { judge(has_table(kernel)); },
    [](Transport& kernel) { judge(has_guard(kernel)); },
    [](Transport& kernel) { judge(read_chain_damage(kernel, "WEB")); },
    [](Transport& kernel) { judge(read_set_damage(kernel, "WEB")); },
    [](Transport& kernel) { judge(read_network_chains(kernel)); },
    judge_holding,
    [](Transport& kernel) { judge(is_set_empty(kernel, kOwners)); },
    [](Transport& kernel) { judge(read_claims(kernel, kPorts)); },
    [](Transport& kernel) { judge(read_targets(kernel, "WEB", kPorts)); },
    [](Transport& kernel) { judge(read_hairpins(kernel)); },
    [](Transport& kernel) { judge(read_hairpins(kernel, plan().hairpins)); },
    [](Transport& kernel) { judge(read_emptiness(kernel, "WEB")); },
    [](Transport& kernel) { judge(read_owners(kernel)); },
    [](Transport& kernel) {
      const Transaction transaction = insertion(plan());
      judge(to_status(commit(kernel, transaction), transaction));
    },
    [](Transport& kernel) { judge_listing(list_ports(kernel)); },
    judge_audit,
    judge_flows,
    judge_listeners,
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  Answers kernel({data + 1, size - 1});
  kQuestions[data[0] % kQuestions.size()](kernel);
  return 0;
}
