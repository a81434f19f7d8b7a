#include "lib/config/known_keys.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <span>

#include "lib/base/nearest.hpp"

namespace portmapper::config {
namespace {

constexpr std::size_t kLongestKey = 20;
constexpr std::size_t kMostNotes = 20;
// A hostile configuration may have a million of them.
constexpr std::size_t kMostUnknownKeys = 200;

// Keys, shorter ones first: one that is asked for is compared with those of its length alone.
template <std::size_t N>
struct KeysByLength {
  std::array<std::string_view, N> keys;
  std::array<std::uint8_t, kLongestKey + 2> first{};  // of each length

  constexpr explicit KeysByLength(const std::array<std::string_view, N>& sorted) : keys(sorted) {
    std::size_t at = 0;
    for (std::size_t length = 0; length < first.size(); ++length) {
      while (at < N && keys[at].size() < length) ++at;
      first[length] = static_cast<std::uint8_t>(at);
    }
  }
  [[nodiscard]] constexpr bool holds(std::string_view key) const {
    if (key.size() > kLongestKey) return false;
    const auto after = std::next(first.begin(), static_cast<std::ptrdiff_t>(key.size()));
    for (std::size_t at = *after; at < *std::next(after); ++at)
      if (keys[at] == key) return true;
    return false;
  }
};

// What ours reads, or refuses.
constexpr KeysByLength kPluginKeys(std::array<std::string_view, 25>{"args",
                                                                    "name",
                                                                    "snat",
                                                                    "type",
                                                                    "chain",
                                                                    "ipMasq",
                                                                    "backend",
                                                                    "masqAll",
                                                                    "delegate",
                                                                    "portWait",
                                                                    "cniVersion",
                                                                    "prevResult",
                                                                    "markMasqBit",
                                                                    "snatAddress",
                                                                    "capabilities",
                                                                    "conditionsV4",
                                                                    "conditionsV6",
                                                                    "hostListeners",
                                                                    "runtimeConfig",
                                                                    "excludeDevices",
                                                                    "delegateTimeout",
                                                                    "closeConnections",
                                                                    "excludeAddresses",
                                                                    "nonMasqueradeCIDRs",
                                                                    "externalSetMarkChain"});
static_assert(kPluginKeys.first.back() == kPluginKeys.keys.size(), "shorter ones come first");

// libcni's, which mean nothing to ours.
constexpr std::array<std::string_view, 2> kKeysOfOthers = {"dns", "ipam"};
constexpr std::string_view kRuntimesOwn = "cni.dev/";

constexpr std::array<std::string_view, 7> kListKeys = {"name",
                                                       "plugins",
                                                       "disableGC",
                                                       "cniVersion",
                                                       "cniVersions",
                                                       "disableCheck",
                                                       "loadOnlyInlinedPlugins"};
constexpr std::array<std::string_view, 1> kRuntimeConfig = {"portMappings"};
constexpr std::array<std::string_view, 4> kMapping = {"hostIP", "hostPort", "protocol",
                                                      "containerPort"};
constexpr std::array<std::string_view, 3> kMesosMapping = {"protocol", "host_port",
                                                           "container_port"};

std::span<const std::string_view> keys_of(KeyPlace place) {
  switch (place) {
    case KeyPlace::plugin:
      return kPluginKeys.keys;
    case KeyPlace::list:
      return kListKeys;
    case KeyPlace::runtime_config:
      return kRuntimeConfig;
    case KeyPlace::mapping:
      return kMapping;
    case KeyPlace::mesos_mapping:
      break;
  }
  return kMesosMapping;
}

constexpr char small_letter(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_letters(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return small_letter(x) == small_letter(y); });
}

// In small letters, in the singular, without what joins words: "exclude_address" and "excludeAddresses"
// are one word.
std::string simplified(std::string_view key) {
  std::string word;
  for (const char c : key)
    if (c != '_' && c != '-') word += small_letter(c);
  if (word.ends_with("ies"))
    word.replace(word.size() - 3, 3, "y");
  else if (word.ends_with("ses"))
    word.resize(word.size() - 2);
  else if (word.ends_with('s') && !word.ends_with("ss"))
    word.pop_back();
  return word;
}

constexpr std::size_t kNotAlike = 100;

// Of two words; kNotAlike where it is more than their length allows.
std::size_t distance_of_words(std::string_view word, std::string_view other) {
  constexpr std::size_t kMostDifference = 4;  // in length: two letters, and a plural
  if (word.size() > other.size() + kMostDifference || other.size() > word.size() + kMostDifference)
    return kNotAlike;
  const std::string a = simplified(word);
  const std::string b = simplified(other);
  const std::size_t length = std::min(a.size(), b.size());
  const std::size_t most = length < 4 ? 0 : length < 8 ? 1 : 2;
  const std::size_t letters = changes_between(a, b);
  return letters <= most ? letters : kNotAlike;
}

// Notes the unknown keys of one object; `prefix` stands before the path of the key that was meant.
void note_keys_of(const json::Value& object, KeyPlace place, std::string_view prefix,
                  std::vector<std::string>& notes) {
  if (object.kind() != json::Kind::object) return;
  std::size_t unknown = 0;
  for (const json::Value member : object) {
    if (is_known_key(place, member.key())) continue;
    if (++unknown > kMostUnknownKeys || notes.size() == kMostNotes) return;
    const std::string_view meant = meant_key(place, member.key());
    if (meant.empty()) continue;
    std::string note = member.path();
    note.append(" is not a key of nft-port-mapper and has no effect; ");
    note.append(prefix).append(meant).append(" was probably meant");
    notes.push_back(std::move(note));
  }
}

}  // namespace

bool is_known_key(KeyPlace place, std::string_view key) {
  if (place == KeyPlace::plugin)
    return kPluginKeys.holds(key) || key.starts_with(kRuntimesOwn) ||
           std::find(kKeysOfOthers.begin(), kKeysOfOthers.end(), key) != kKeysOfOthers.end();
  const bool any_case = place == KeyPlace::mapping || place == KeyPlace::mesos_mapping;
  const std::span<const std::string_view> keys = keys_of(place);
  return std::any_of(keys.begin(), keys.end(), [&](std::string_view known) {
    return any_case ? same_letters(known, key) : known == key;
  });
}

std::string_view meant_key(KeyPlace place, std::string_view key) {
  std::string_view meant;
  std::size_t best = kNotAlike;
  for (const std::string_view known : keys_of(place)) {
    const std::size_t letters = distance_of_words(key, known);
    if (letters >= best) continue;
    best = letters;
    meant = known;
  }
  // Not where it belongs: of a plugin's configuration.
  if (meant.empty() && place == KeyPlace::plugin &&
      distance_of_words(key, kRuntimeConfig[0]) != kNotAlike)
    return "runtimeConfig.portMappings";
  return meant;
}

bool is_near(std::string_view word, std::string_view other) {
  return word != other && distance_of_words(word, other) != kNotAlike;
}

void notes_on_keys(const json::Value& root, std::vector<std::string>& notes) {
  note_keys_of(root, KeyPlace::plugin, "", notes);
  const KeyPlace place = KeyPlace::runtime_config;
  note_keys_of(root.member("runtimeConfig"), place, "runtimeConfig.", notes);
  note_keys_of(root.member("capabilities"), place, "capabilities.", notes);
}

}  // namespace portmapper::config
