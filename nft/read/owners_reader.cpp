#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "nft/key.hpp"
#include "nft/read/keyed_reader.hpp"
#include "nft/read/query.hpp"
#include "nft/read/reader.hpp"
#include "nft/read/set_dump.hpp"
#include "nft/read/standby_reader.hpp"
#include "nft/userdata.hpp"

namespace portmapper::nft {
namespace {

// Its own, and how many entries its owner has.
struct CountedEntry {
  OwnerEntry entry;
  std::uint32_t count = 0;
};
std::optional<CountedEntry> parse_entry(const ElementView& element) {
  const auto key = parse_owner_key(element.key);
  const auto published = parse_owner_data(element.data);
  if (!key || !published) return std::nullopt;
  ElementData data = parse_element_data(element.userdata);
  return CountedEntry{{key->owner,
                       key->index,
                       std::move(data.comment),
                       std::move(data.netns),
                       std::move(data.chain),
                       *published,
                       data.network,
                       data.container,
                       data.wish,
                       {},
                       std::move(data.pod)},
                      data.count};
}

Status dump_entries(Transport& transport, std::vector<OwnerEntry>& entries) {
  entries.clear();
  return dump_elements(transport, kOwners, [&entries](const ElementView& element) {
    if (auto parsed = parse_entry(element)) entries.push_back(std::move(parsed->entry));
  });
}

// Whose the claims and the standby elements are. Nothing: a claim does not tell.
Result<std::optional<std::vector<OwnerHash>>> read_names(
    Transport& transport, const std::vector<StandbyElement>& standby) {
  std::vector<OwnerHash> names;
  bool all_tell = true;
  const auto add = [&names](const OwnerHash& owner) {
    if (names.empty() || names.back() != owner) names.push_back(owner);
  };
  for (const StandbyElement& element : standby) add(element.owner);
  for (const Suffix suffix : kSuffixes) {
    const Status status =
        dump_elements(transport, claim_set(suffix), [&](const ElementView& element) {
          const auto owner = parse_element_data(element.userdata).owner;
          all_tell = all_tell && owner;
          if (owner) add(*owner);
        });
    if (!status) return status.error();
    if (!all_tell) return std::optional<std::vector<OwnerHash>>();
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return std::optional(std::move(names));
}

using EntryKey = std::pair<OwnerHash, std::uint32_t>;
using EntryKeys = std::vector<EntryKey>;

// `keys` outlives it.
AskFor asks_for(const EntryKeys& keys) {
  return [&keys](Query& query, std::size_t number) {
    const Element element{owner_key(keys[number].first, keys[number].second)};
    query.elements(kOwners, {&element, 1});
  };
}

// By key: the first entry of each owner, which says how many there are, and then all others.
Status ask_for_entries(Transport& transport, const std::vector<OwnerHash>& names, std::size_t most,
                       std::vector<OwnerEntry>& entries) {
  EntryKeys keys;
  EntryKeys others;
  keys.reserve(names.size());
  for (const OwnerHash& name : names) keys.emplace_back(name, 0);
  const auto take = [&](std::size_t, const ElementView& element) {
    auto parsed = parse_entry(element);
    if (!parsed) return;
    const OwnerEntry& entry = parsed->entry;
    for (std::uint32_t index = 1; entry.index == 0 && index < parsed->count; ++index) {
      if (others.size() >= most) break;
      others.emplace_back(entry.owner, index);
    }
    entries.push_back(std::move(parsed->entry));
  };
  if (const Status status = ask_for_each(transport, keys.size(), asks_for(keys), take); !status)
    return status;
  keys = std::exchange(others, {});
  entries.reserve(entries.size() + keys.size());
  return ask_for_each(transport, keys.size(), asks_for(keys), take);
}

// Of a large set each datagram of a dump costs as much as all that come before it, and an entry takes
// three times the room of a claim. So the claims are dumped, and the entries read by key. False: not all
// of them were found so, by the kernel's own count.
Result<bool> find_by_claims(Transport& transport, const std::vector<StandbyElement>& standby,
                            std::size_t size, std::vector<OwnerEntry>& entries) {
  const auto names = read_names(transport, standby);
  if (!names) return names.error();
  if (!*names) return false;
  if (const Status status = ask_for_entries(transport, **names, size, entries); !status)
    return status.error();
  const auto count = count_elements(transport, kOwners);
  if (!count) return count.error();
  return *count && **count == entries.size();
}

struct SizeAndStandby {
  std::optional<std::size_t> size;  // of `owners`
  std::vector<StandbyElement> standby;
};
Result<SizeAndStandby> read_size_and_standby(Transport& transport) {
  SizeAndStandby read;
  Query query;
  query.set(kOwners);
  query.all_elements(kStandby);
  const Status status = query.run(transport, [&read](const nlmsghdr& reply) {
    if (reply.nlmsg_seq == 1)
      read.size = element_count(reply);
    else
      for_each_element(reply,
                       [&read](const ElementView& element) { add_standby(read.standby, element); });
  });
  if (!status) return status.error();
  return read;
}

using EntriesByKey = std::map<EntryKey, OwnerEntry>;

struct Reading {
  std::vector<OwnerEntry> entries{};
  std::vector<StandbyElement> standby{};
  bool is_whole = false;  // as many as the kernel counts, where it does
};

Result<Reading> read_once(Transport& transport) {
  Result<SizeAndStandby> read = read_size_and_standby(transport);
  if (!read) return read.error();
  Reading reading{.standby = std::move(read->standby)};
  if (read->size && *read->size >= kManyKeys) {
    const Result<bool> all =
        find_by_claims(transport, reading.standby, *read->size, reading.entries);
    if (!all) return all.error();
    reading.is_whole = *all;
  }
  if (reading.is_whole) return reading;
  if (const Status status = dump_entries(transport, reading.entries); !status)
    return status.error();
  reading.is_whole = !read->size || *read->size == reading.entries.size();
  return reading;
}

// Those that are there still.
Status ask_again(Transport& transport, const EntriesByKey& known,
                 std::vector<OwnerEntry>& entries) {
  EntryKeys keys;
  keys.reserve(known.size());
  for (const auto& [key, entry] : known) keys.push_back(key);
  entries.clear();
  return ask_for_each(transport, keys.size(), asks_for(keys),
                      [&entries](std::size_t, const ElementView& element) {
                        if (auto parsed = parse_entry(element))
                          entries.push_back(std::move(parsed->entry));
                      });
}

}  // namespace

// The kernel does not tell that a set changed during its dump, as it does of rules: entries that stay may be missed
// then, or come twice, also when its hash table grows behind a change. What one reading misses, another sees.
Result<Owners> read_owners_and_standby(Transport& transport) {
  constexpr int kMostReadings = 4;
  EntriesByKey known;
  for (int reading = 1;; ++reading) {
    const Result<std::uint32_t> before = read_generation(transport);
    if (!before) return before.error();
    Result<Reading> read = read_once(transport);
    if (!read) return read.error();
    const Result<std::uint32_t> after = read_generation(transport);
    if (!after) return after.error();
    const bool is_steady = *before == *after && read->is_whole;
    Owners owners{std::move(read->entries), {}};
    if (!is_steady) {
      for (OwnerEntry& entry : owners.entries)
        known.insert_or_assign({entry.owner, entry.index}, std::move(entry));
      if (reading < kMostReadings) continue;
      if (const Status asked = ask_again(transport, known, owners.entries); !asked)
        return asked.error();
    }
    give_standby(owners, read->standby);
    return owners;
  }
}

Result<std::vector<OwnerEntry>> read_owners(Transport& transport) {
  Result<Owners> owners = read_owners_and_standby(transport);
  if (!owners) return owners.error();
  return std::move(owners->entries);
}

}  // namespace portmapper::nft
