#include "nft/read/reader.hpp"

#include <algorithm>
#include <utility>

#include "nft/hairpin_fit.hpp"
#include "nft/key.hpp"
#include "nft/read/element_view.hpp"
#include "nft/read/keyed_reader.hpp"
#include "nft/read/query.hpp"
#include "nft/read/set_dump.hpp"
#include "nft/userdata.hpp"

namespace portmapper::nft {
namespace {

Result<std::vector<ClaimEntry>> read_services(Transport& transport, const std::string& set,
                                              Suffix suffix) {
  std::vector<ClaimEntry> entries;
  const Status status = dump_elements(transport, set, [&](const ElementView& element) {
    const auto published = parse_claim_key(element.key, suffix);
    if (!published) return;
    ElementData data = parse_element_data(element.userdata);
    entries.push_back({*published, std::move(data.comment), data.owner});
  });
  if (!status) return status.error();
  return entries;
}

}  // namespace

Result<bool> is_set_empty(Transport& transport, const std::string& set) {
  bool empty = true;
  const Status status = peek_elements(
      transport, set, [&empty](const ElementView&) { empty = false; }, [&empty] { return !empty; });
  if (!status) return status.error();
  return empty;
}

Result<std::vector<Claim>> read_claims(Transport& transport,
                                       const std::vector<PublishedPort>& ports) {
  std::vector<Claim> claims(ports.size());
  const Status status = read_each(
      transport, ports, [](Suffix suffix) { return claim_set(suffix); },
      [&](std::size_t number, const ElementView& element) {
        const ElementData data = parse_element_data(element.userdata);
        claims[number] = {true, data.comment, data.owner};
      });
  if (!status) return status.error();
  return claims;
}

Result<std::vector<std::optional<Endpoint>>> read_targets(Transport& transport,
                                                          const std::string& chain,
                                                          const std::vector<PublishedPort>& ports) {
  std::vector<std::optional<Endpoint>> targets(ports.size());
  const Status status = visit_targets(
      transport, chain, ports,
      [&](std::size_t number, const Endpoint& to, std::uint64_t) { targets[number] = to; });
  if (!status) return status.error();
  return targets;
}

Status visit_targets(Transport& transport, const std::string& chain,
                     const std::vector<PublishedPort>& ports, const VisitTarget& visit) {
  return read_each(
      transport, ports, [&](Suffix suffix) { return target_map(chain, suffix); },
      [&](std::size_t number, const ElementView& element) {
        const auto to = parse_target_data(element.data, ports[number].address.family());
        if (to) visit(number, *to, element.packets);
      });
}

Result<std::vector<Hairpin>> read_hairpins(Transport& transport) {
  std::vector<Hairpin> hairpins;
  for (const Family family : kFamilies) {
    const Status status =
        dump_elements(transport, hairpin_set(family), [&](const ElementView& element) {
          const auto pair = parse_hairpin_key(element.key, element.key_end, family);
          if (pair) hairpins.push_back({pair->first, pair->second});
        });
    if (!status) return status.error();
  }
  return hairpins;
}

Result<std::vector<Hairpin>> read_hairpins(Transport& transport,
                                           const std::vector<Hairpin>& wanted) {
  std::vector<Hairpin> found;
  Query query;
  for (const Hairpin& hairpin : wanted) {
    const Element element{hairpin_key(hairpin.source, hairpin.destination),
                          hairpin_key_end(hairpin.source, hairpin.destination)};
    query.elements(hairpin_set(hairpin.destination.address.family()), {&element, 1});
  }
  const Status status = query.run(transport, [&](const nlmsghdr& reply) {
    const std::size_t number = reply.nlmsg_seq - std::size_t{1};
    if (number >= wanted.size()) return;
    for_each_element(reply, [&](const ElementView& element) {
      const Family family = wanted[number].destination.address.family();
      const auto pair = parse_hairpin_key(element.key, element.key_end, family);
      if (pair) found.push_back({pair->first, pair->second});
    });
  });
  if (!status) return status.error();
  if (fit_hairpins(wanted, found).add.empty()) return found;
  return read_hairpins(transport);
}

Result<std::uint32_t> read_generation(Transport& transport) {
  Query query;
  query.generation();
  const Status status = query.run(transport, [](const nlmsghdr&) {});
  if (!status) return status.error();
  return query.found_generation();
}

Result<Emptiness> read_emptiness(Transport& transport, const std::string& chain) {
  const Result<std::uint32_t> generation = read_generation(transport);
  if (!generation) return generation.error();
  Emptiness emptiness{.generation = *generation, .empty = true};
  for (const Suffix suffix : kSuffixes) {
    const Result<bool> empty = is_set_empty(transport, target_map(chain, suffix));
    if (!empty) return empty.error();
    emptiness.empty = emptiness.empty && *empty;
  }
  if (!emptiness.empty) return emptiness;
  // Who stands by needs the chain where its ports will lead to it.
  const Result<std::vector<OwnerEntry>> owners = read_owners(transport);
  if (!owners) return owners.error();
  emptiness.empty = std::none_of(owners->begin(), owners->end(), [&chain](const OwnerEntry& entry) {
    return entry.standby && (entry.chain.empty() || entry.chain == chain);
  });
  return emptiness;
}

Result<std::vector<ClaimEntry>> read_claim_set(Transport& transport, Suffix suffix) {
  return read_services(transport, claim_set(suffix), suffix);
}

Result<std::vector<ClaimEntry>> read_loopback_set(Transport& transport, Family family) {
  return read_services(transport, loopback_set(family), {family, AddressScope::any});
}

Result<std::vector<TargetEntry>> read_target_map(Transport& transport, const std::string& chain,
                                                 Suffix suffix) {
  std::vector<TargetEntry> entries;
  const Status status =
      dump_elements(transport, target_map(chain, suffix), [&](const ElementView& element) {
        const auto published = parse_claim_key(element.key, suffix);
        const auto endpoint = parse_target_data(element.data, suffix.family);
        if (!published || !endpoint) return;
        entries.push_back(
            {*published, *endpoint, parse_element_data(element.userdata).comment, element.packets});
      });
  if (!status) return status.error();
  return entries;
}

}  // namespace portmapper::nft
