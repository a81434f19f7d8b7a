#include "nft/read/keyed_reader.hpp"

#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "nft/key.hpp"
#include "nft/read/set_dump.hpp"

namespace portmapper::nft {
namespace {

using Numbers = std::vector<std::size_t>;  // of ports

// Those of `numbers` that a dump has not decided: all, where it was not worth it.
Result<Numbers> find_in_dump(Transport& transport, const std::string& set,
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
  const Result<bool> dumped =
      dump_instead(transport, set, numbers.size(), [&](const ElementView& element) {
        const std::string key(element.key.begin(), element.key.end());
        for (auto found = std::lower_bound(wanted.begin(), wanted.end(), Wanted{key, 0});
             found != wanted.end() && found->first == key; ++found)
          visit(found->second, element);
      });
  if (!dumped) return dumped.error();
  return *dumped ? Numbers() : numbers;
}

// Of how many elements a dump takes no longer than to ask for so many keys. A key costs as much as four
// elements in a dump; and since each of its datagrams begins at the front, a dump of 10,000 costs twice
// as much an element as one of a few. So 30,000 are the most that are dumped for all of their keys.
bool is_worth_dumping(std::size_t elements, std::size_t wanted) {
  constexpr std::size_t kElementsForAKey = 4;
  constexpr std::size_t kTwice = 10000;
  return elements + elements * elements / kTwice <= wanted * kElementsForAKey;
}

}  // namespace

std::optional<std::size_t> element_count(const nlmsghdr& reply) {
  constexpr std::uint16_t kSetCount = 20;  // NFTA_SET_COUNT, newer than Debian's headers
  const auto number = Attributes(message_attributes(reply, sizeof(nfgenmsg))).find(kSetCount);
  if (!number) return std::nullopt;
  return number->number32();
}

Result<std::optional<std::size_t>> count_elements(Transport& transport, const std::string& set) {
  std::optional<std::size_t> count;
  Query query;
  query.set(set);
  const Status status =
      query.run(transport, [&count](const nlmsghdr& reply) { count = element_count(reply); });
  if (!status) return status.error();
  return count;
}

Result<bool> dump_instead(Transport& transport, const std::string& set, std::size_t wanted,
                          const std::function<void(const ElementView&)>& visit) {
  if (wanted < kManyKeys || !is_worth_dumping(wanted, wanted)) return false;
  const auto count = count_elements(transport, set);
  if (!count) return count.error();
  if (*count && !is_worth_dumping(**count, wanted)) return false;
  std::size_t seen = 0;
  const Status status = peek_elements(
      transport, set,
      [&](const ElementView& element) {
        ++seen;
        visit(element);
      },
      [&] { return !is_worth_dumping(seen, wanted); });
  if (!status) return status.error();
  return is_worth_dumping(seen, wanted);
}

Status ask_for_each(Transport& transport, std::size_t count, const AskFor& ask,
                    const VisitElement& visit) {
  for (std::size_t first = 0; first < count; first += kMoreKeys) {
    const std::size_t last = std::min<std::size_t>(count, first + kMoreKeys);
    Query query;
    for (std::size_t number = first; number < last; ++number) ask(query, number);
    const Status status = query.run(transport, [&](const nlmsghdr& reply) {
      const std::size_t number = first + reply.nlmsg_seq - 1;
      if (reply.nlmsg_seq == 0 || number >= last) return;
      for_each_element(reply, [&](const ElementView& element) { visit(number, element); });
    });
    if (!status) return status.error();
  }
  return {};
}

Status read_each(Transport& transport, const std::vector<PublishedPort>& ports, const SetOf& set,
                 const VisitElement& visit) {
  Numbers rest(ports.size());
  std::iota(rest.begin(), rest.end(), std::size_t{0});
  const auto ask_for_rest = [&] {
    return ask_for_each(
        transport, rest.size(),
        [&](Query& query, std::size_t place) {
          const PublishedPort& port = ports[rest[place]];
          const Element element{claim_key(port)};
          query.elements(set(suffix_of(port)), {&element, 1});
        },
        [&](std::size_t place, const ElementView& element) { visit(rest[place], element); });
  };
  if (ports.size() < kManyKeys) return ask_for_rest();
  rest.clear();
  std::map<std::string, Numbers> by_set;
  for (std::size_t i = 0; i < ports.size(); ++i) by_set[set(suffix_of(ports[i]))].push_back(i);
  for (const auto& [name, numbers] : by_set) {
    const Result<Numbers> undecided = find_in_dump(transport, name, ports, numbers, visit);
    if (!undecided) return undecided.error();
    rest.insert(rest.end(), undecided->begin(), undecided->end());
  }
  std::sort(rest.begin(), rest.end());
  return ask_for_rest();
}

}  // namespace portmapper::nft
