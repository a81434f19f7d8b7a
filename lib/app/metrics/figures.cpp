#include "lib/app/metrics/figures.hpp"

#include <algorithm>
#include <array>

#include "lib/app/metrics/exposition.hpp"

namespace portmapper::metrics {
namespace {

constexpr std::array kProtocols = {Protocol::tcp, Protocol::udp, Protocol::sctp};

// Every protocol and state, so that a series does not end where its number is 0.
void write_totals(Exposition& out, const Figures& figures) {
  out.gauge("nft_port_mapper_table", "Whether the table inet nft-port-mapper exists.");
  out.sample(figures.has_table ? 1 : 0);
  out.gauge("nft_port_mapper_ports", "Published ports.");
  for (const Protocol protocol : kProtocols) {
    const auto count = std::count_if(
        figures.ports.begin(), figures.ports.end(),
        [protocol](const PortFigures& port) { return port.published.protocol == protocol; });
    out.sample({{"protocol", to_string(protocol)}}, static_cast<std::uint64_t>(count));
  }
  out.gauge("nft_port_mapper_standby_ports",
            "Ports that a network of a container stands by for, while another publishes them.");
  out.sample(figures.standby);
  out.gauge("nft_port_mapper_owners",
            "Attachments of containers that have ports, by what is known of their lives.");
  out.sample({{"state", "alive"}}, figures.owners.alive);
  out.sample({{"state", "dead"}}, figures.owners.dead);
  out.sample({{"state", "unknown"}}, figures.owners.unknown);
  out.gauge("nft_port_mapper_connections",
            "New connections that the ports had which are published now; it falls when one goes.");
  std::uint64_t connections = 0;
  for (const PortFigures& port : figures.ports) connections += port.connections;
  out.sample(connections);
}

void write_damage(Exposition& out, const Figures& figures) {
  out.gauge("nft_port_mapper_findings", "What nft-port-mapperctl check finds.");
  out.sample(figures.findings);
  out.gauge("nft_port_mapper_mendable_findings",
            "Those of the findings that nft-port-mapperctl check --repair repairs.");
  out.sample(figures.mendable);
  out.gauge("nft_port_mapper_missing_attachments",
            "Attachments on record that live, and whose ports are not all published.");
  out.sample(figures.missing);
  out.gauge("nft_port_mapper_unmasqueraded_attachments",
            "Attachments on record that live, and are not masqueraded as their ipMasq says.");
  out.sample(figures.unmasqueraded);
  out.gauge("nft_port_mapper_exposed_interfaces",
            "Interfaces with route_localnet and without the guard (CVE-2020-8558).");
  out.sample(figures.exposed);
}

void write_watch(Exposition& out, const WatchFigures& watch) {
  out.counter("nft_port_mapper_repairs_total", "Repairs by nft-port-mapperctl watch.");
  out.sample(watch.repairs);
  out.counter("nft_port_mapper_lost_events_total",
              "How often nftables' messages were more than the watch could take.");
  out.sample(watch.lost_events);
}

void write_reading(Exposition& out, const Figures& figures) {
  out.gauge("nft_port_mapper_read_seconds", "How long it took to read all this.");
  out.seconds(figures.seconds);
  out.gauge("nft_port_mapper_read_timestamp_seconds", "When it was read, in seconds since 1970.");
  out.sample(static_cast<std::uint64_t>(figures.time));
}

void write_ports(Exposition& out, const std::vector<PortFigures>& ports) {
  out.counter("nft_port_mapper_port_connections_total",
              "New connections since the port was published.");
  for (const PortFigures& port : ports)
    out.sample({{"protocol", to_string(port.published.protocol)},
                {"address", port.published.address.to_string()},
                {"port", std::to_string(port.published.port.value())},
                {"network", port.attachment.network},
                {"container", port.attachment.container_id}},
               port.connections);
}

}  // namespace

std::string format(const Figures& figures, PerPort per_port) {
  Exposition out;
  out.gauge("nft_port_mapper_build_info", "The version of nft-port-mapperctl; its value is 1.");
  out.sample({{"version", figures.version}}, 1);
  write_totals(out, figures);
  write_damage(out, figures);
  if (figures.watch) write_watch(out, *figures.watch);
  write_reading(out, figures);
  if (per_port == PerPort::yes) write_ports(out, figures.ports);
  return std::move(out).text();
}

}  // namespace portmapper::metrics
