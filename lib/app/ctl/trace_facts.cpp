#include "lib/app/ctl/trace_facts.hpp"

#include <net/if.h>

#include <array>
#include <set>

#include "lib/app/ctl/listing.hpp"
#include "lib/app/host_processes.hpp"
#include "lib/host/sysctl.hpp"
#include "nft/foreign/legacy_reader.hpp"

namespace portmapper::ctl {
namespace {

void learn_device(std::uint32_t index, trace::Known& known) {
  std::array<char, IF_NAMESIZE> name{};
  if (index != 0 && if_indextoname(index, name.data()) != nullptr)
    known.devices.emplace(index, name.data());
}

void learn_devices(const trace::Packet& packet, trace::Known& known) {
  for (const trace::Passage& passage : packet.passages)
    for (const trace::Header& header : {passage.before, passage.behind.value_or(passage.before)}) {
      learn_device(header.input, known);
      learn_device(header.output, known);
    }
}

void add_chains(const trace::Packet& packet, std::set<nft::foreign::Name>& chains) {
  for (const trace::Passage& passage : packet.passages)
    for (const trace::Visit& visit : passage.visits)
      for (const trace::Event& step : visit.steps)
        if (step.handle != 0) chains.insert(step.chain);
}

void learn_listeners(const trace::Packet& request, trace::Known& known) {
  known.listeners.clear();
  const trace::Header& last = request.now;
  const auto port = Port::from(last.destination_port);
  if (trace::end_of(request).fate != trace::Fate::delivered || !port) return;
  const nft::PublishedPort here[] = {
      {IpAddress::any(last.destination.family()), known.protocol, *port}};
  Result<std::vector<host::Listener>> listeners = app::listeners_on(here);
  if (!listeners) return;
  host::name_processes(*listeners);
  for (const host::Listener& one : *listeners) {
    const bool is_of_family = one.address.family() == last.destination.family() ||
                              (one.also_ipv4 && last.destination.family() == Family::ipv4);
    if (is_of_family && (one.address.is_any() || one.address == last.destination))
      known.listeners.push_back(app::name_of(one));
  }
}

}  // namespace

Result<trace::Known> read_publishers(Transport& transport, Protocol protocol, Port port) {
  const Result<std::vector<ListedPort>> ports = list_ports(transport);
  if (!ports) return ports.error();
  trace::Known known{.protocol = protocol, .port = port};
  for (const ListedPort& one : *ports)
    if (one.published.protocol == protocol && one.published.port == port && !one.standby)
      known.publishers.push_back({one.published, one.endpoint, one.attachment.container_id,
                                  one.attachment.network, one.attachment.ifname});
  return known;
}

void learn_about(Transport& transport, const trace::Story& story, trace::Known& known) {
  known.forwards = host::read_sysctl("net/ipv4/ip_forward");
  known.forwards6 = host::read_sysctl("net/ipv6/conf/all/forwarding");
  std::set<nft::foreign::Name> chains;
  learn_devices(story.request, known);
  add_chains(story.request, chains);
  if (story.answer) learn_devices(*story.answer, known);
  if (story.answer) add_chains(*story.answer, chains);
  for (const nft::foreign::Name& chain : chains)
    (void)nft::trace::read_rule_texts(transport, {chain}, known.texts);
  learn_listeners(story.request, known);
  known.legacy = nft::foreign::legacy_table_names(story.request.begin.source.family());
}

}  // namespace portmapper::ctl
