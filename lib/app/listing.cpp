#include "lib/app/listing.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <tuple>

namespace portmapper {
namespace {

using Row = std::array<std::string, 6>;

std::string printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return text;
}

Row row_of(const ListedPort& port) {
  const std::string host = to_string(port.published);
  return {std::string(to_string(port.published.protocol)),
          host.substr(0, host.rfind('/')),
          port.endpoint ? to_string(*port.endpoint) : "missing",
          printable(port.container),
          printable(port.network),
          std::to_string(port.connections)};
}

using Targets = std::map<std::pair<std::string, PublishedPort>, TargetEntry>;

Result<Targets> all_targets(Transport& transport, const std::set<std::string>& chains) {
  Targets targets;
  for (const std::string& chain : chains)
    for (const Suffix suffix : kSuffixes) {
      Result<std::vector<TargetEntry>> entries = read_target_map(transport, chain, suffix);
      if (!entries) return entries.error();
      for (TargetEntry& entry : *entries) {
        const PublishedPort port = entry.published;
        targets.emplace(std::pair(chain, port), std::move(entry));
      }
    }
  return targets;
}

}  // namespace

Result<std::vector<ListedPort>> list_ports(Transport& transport) {
  const Result<std::vector<OwnerEntry>> owners = read_owners(transport);
  if (!owners) return owners.error();
  std::set<std::string> chains;
  for (const OwnerEntry& owner : *owners) chains.insert(owner.chain);
  const Result<Targets> targets = all_targets(transport, chains);
  if (!targets) return targets.error();

  std::vector<ListedPort> ports;
  ports.reserve(owners->size());
  for (const OwnerEntry& owner : *owners) {
    ListedPort port{owner.published, std::nullopt, owner.comment, "?", 0};
    Attachment attachment;
    if (parse_attachment_comment(owner.comment, attachment)) {
      port.container = attachment.container_id;
      port.network = attachment.network;
    }
    const auto target = targets->find({owner.chain, owner.published});
    if (target != targets->end()) {
      port.endpoint = target->second.endpoint;
      port.connections = target->second.connections;
    }
    ports.push_back(std::move(port));
  }
  std::sort(ports.begin(), ports.end(), [](const ListedPort& a, const ListedPort& b) {
    return std::tie(a.published.protocol, a.published.port, a.published.address) <
           std::tie(b.published.protocol, b.published.port, b.published.address);
  });
  return ports;
}

std::string format_table(const std::vector<ListedPort>& ports) {
  std::vector<Row> rows = {{"PROTO", "HOST", "ENDPOINT", "CONTAINER", "NETWORK", "CONNECTIONS"}};
  for (const ListedPort& port : ports) rows.push_back(row_of(port));
  std::array<std::size_t, 6> widths{};
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i)
      text += row[i] + std::string(widths[i] - row[i].size() + 2, ' ');
    text += row.back() + "\n";
  }
  return text;
}

}  // namespace portmapper
