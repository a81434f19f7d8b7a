#include "nft/read/keyed_reader.hpp"

#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "nft/key.hpp"
#include "nft/read/query.hpp"

namespace portmapper::nft {
namespace {

constexpr std::size_t kManyKeys = 1024;

using Numbers = std::vector<std::size_t>;  // of ports

// Asks for one key each, `kMoreKeys` at a time.
Status ask_for_each(Transport& transport, const std::vector<PublishedPort>& ports,
                    const Numbers& numbers, const SetOf& set, const VisitElement& visit) {
  for (std::size_t first = 0; first < numbers.size(); first += kMoreKeys) {
    const std::size_t last = std::min<std::size_t>(numbers.size(), first + kMoreKeys);
    Query query;
    for (std::size_t i = first; i < last; ++i) {
      const PublishedPort& port = ports[numbers[i]];
      const Element element{claim_key(port)};
      query.elements(set(suffix_of(port)), {&element, 1});
    }
    const Status status = query.run(transport, [&](const nlmsghdr& reply) {
      const std::size_t place = first + reply.nlmsg_seq - 1;
      if (reply.nlmsg_seq == 0 || place >= last) return;
      for_each_element(reply, [&](const ElementView& element) { visit(numbers[place], element); });
    });
    if (!status) return status.error();
  }
  return {};
}

Status find_in_dump(Transport& transport, const std::string& set,
                    const std::vector<PublishedPort>& ports, const Numbers& numbers,
                    const VisitElement& visit) {
  using Wanted = std::pair<std::string, std::size_t>;
  std::vector<Wanted> wanted;
  wanted.reserve(numbers.size());
  for (const std::size_t number : numbers) {
    const Key key = claim_key(ports[number]);
    wanted.emplace_back(std::string(key.bytes().begin(), key.bytes().end()), number);
  }
  // They come in order where they are somebody's conflicts, and mostly where they are an
  // attachment's.
  if (!std::is_sorted(wanted.begin(), wanted.end())) std::sort(wanted.begin(), wanted.end());
  Query query;
  query.all_elements(set);
  return query.run(transport, [&](const nlmsghdr& reply) {
    for_each_element(reply, [&](const ElementView& element) {
      const std::string key(element.key.begin(), element.key.end());
      for (auto found = std::lower_bound(wanted.begin(), wanted.end(), Wanted{key, 0});
           found != wanted.end() && found->first == key; ++found)
        visit(found->second, element);
    });
  });
}

}  // namespace

Result<std::optional<std::size_t>> count_elements(Transport& transport, const std::string& set) {
  constexpr std::uint16_t kSetCount = 20;  // NFTA_SET_COUNT, newer than Debian's headers
  std::optional<std::size_t> count;
  Query query;
  query.set(set);
  const Status status = query.run(transport, [&count](const nlmsghdr& reply) {
    const auto number = Attributes(message_attributes(reply, sizeof(nfgenmsg))).find(kSetCount);
    if (number) count = number->number32();
  });
  if (!status) return status.error();
  return count;
}

Result<bool> is_better_dumped(Transport& transport, const std::string& set, std::size_t wanted) {
  constexpr std::size_t kElementsForAKey = 8;  // a dump costs an eighth for each, if not less
  if (wanted < kManyKeys) return false;
  const auto count = count_elements(transport, set);
  if (!count) return count.error();
  return *count && **count <= wanted * kElementsForAKey;
}

Status read_each(Transport& transport, const std::vector<PublishedPort>& ports, const SetOf& set,
                 const VisitElement& visit) {
  Numbers rest(ports.size());
  std::iota(rest.begin(), rest.end(), std::size_t{0});
  if (ports.size() < kManyKeys) return ask_for_each(transport, ports, rest, set, visit);
  rest.clear();
  std::map<std::string, Numbers> by_set;
  for (std::size_t i = 0; i < ports.size(); ++i) by_set[set(suffix_of(ports[i]))].push_back(i);
  for (const auto& [name, numbers] : by_set) {
    const Result<bool> dumped = is_better_dumped(transport, name, numbers.size());
    if (!dumped) return dumped.error();
    if (!*dumped) {
      rest.insert(rest.end(), numbers.begin(), numbers.end());
    } else if (const Status status = find_in_dump(transport, name, ports, numbers, visit);
               !status) {
      return status;
    }
  }
  std::sort(rest.begin(), rest.end());
  return ask_for_each(transport, ports, rest, set, visit);
}

}  // namespace portmapper::nft
