#include "lib/host/life_signs.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <thread>

#include "lib/host/netns.hpp"
#include "lib/host/netns_addresses.hpp"

namespace portmapper::host {
namespace {

bool has_any(const std::vector<IpAddress>& inside, const std::vector<IpAddress>& wanted) {
  return std::any_of(wanted.begin(), wanted.end(), [&inside](const IpAddress& address) {
    return std::binary_search(inside.begin(), inside.end(), address);
  });
}

const FoundNamespace* find(const NamespaceLook& look, const NetworkNamespace& recorded) {
  if (!recorded.is_known()) return nullptr;
  const auto found = std::find_if(
      look.found.begin(), look.found.end(),
      [&recorded](const FoundNamespace& one) { return same_netns(one.netns, recorded); });
  return found == look.found.end() ? nullptr : &*found;
}

bool is_number_used_again(const NetworkNamespace& recorded, const NetworkNamespace& newcomer) {
  // Another spelling of the path leads to the same namespace, and a path that did not fit tells
  // nothing. Cookies tell more, where both have one.
  return recorded.id == 0 && (recorded.cookie == 0 || newcomer.cookie == 0) &&
         recorded.inode == newcomer.inode && !recorded.path.empty() &&
         recorded.path != newcomer.path && identify_netns(recorded.path).inode != recorded.inode;
}

bool is_number_of_any(const NamespaceLook& look, const NetworkNamespace& recorded) {
  return std::any_of(look.found.begin(), look.found.end(), [&recorded](const FoundNamespace& one) {
    return is_number_of_another(recorded, one.netns);
  });
}

AddressState addresses_in(const LifeTrace& trace, const FoundNamespace* own,
                          const NamespaceLook& look, const NetworkNamespace& newcomer,
                          bool proves) {
  if (own != nullptr && own->addresses && has_any(*own->addresses, trace.addresses))
    return AddressState::inside;
  bool all_read = own == nullptr || own->addresses;
  for (const FoundNamespace& one : look.found) {
    const bool is_newcomers = newcomer.is_known() && same_netns(one.netns, newcomer);
    if (&one == own || is_newcomers) continue;
    if (one.addresses && has_any(*one.addresses, trace.addresses)) return AddressState::elsewhere;
    all_read = all_read && one.addresses;
  }
  return proves && all_read && !trace.addresses.empty() ? AddressState::nowhere
                                                        : AddressState::unknown;
}

struct Place {
  bool is_at_path = false;
  bool has_address = false;
  bool is_replaced = false;  // its number is that of another namespace
};

// The quick way: what the recorded path leads to, and the newcomer's.
std::vector<Place> look_at_paths(const std::vector<LifeTrace>& traces,
                                 const NetworkNamespace& newcomer) {
  std::set<std::string> paths;
  for (const LifeTrace& trace : traces) {
    if (trace.netns.is_known() && !trace.netns.path.empty()) paths.insert(trace.netns.path);
    // What was seen of it before the record was is no proof: it is looked at again.
    if (is_number_of_another(trace.netns, newcomer)) paths.insert(newcomer.path);
  }
  std::map<std::string, NetnsAddresses> inside;
  if (!paths.empty()) inside = read_netns_addresses(paths);
  std::map<std::uint64_t, const NetworkNamespace*> existing;  // by inode number
  for (const auto& [path, one] : inside) existing.emplace(one.netns.inode, &one.netns);
  std::vector<Place> places(traces.size());
  for (std::size_t i = 0; i < traces.size(); ++i) {
    const auto number = existing.find(traces[i].netns.inode);
    places[i].is_replaced =
        number != existing.end() && is_number_of_another(traces[i].netns, *number->second);
    const auto found = inside.find(traces[i].netns.path);
    if (!traces[i].netns.is_known() || found == inside.end()) continue;
    places[i].is_at_path = found->second.kind != NetnsAddresses::Kind::none &&
                           same_netns(found->second.netns, traces[i].netns);
    places[i].has_address =
        places[i].is_at_path && has_any(found->second.addresses, traces[i].addresses);
  }
  return places;
}

// The kernel's word that namespaces are gone. A netlink socket that was closed keeps its namespace
// until a grace period of RCU is over (net/netlink/af_netlink.c, netlink_release), and whoever read
// the addresses inside had one: the word is waited for, once for all that are asked about.
class KernelsWord {
 public:
  bool is_gone_for_good(const NetworkNamespace& netns) {
    while (!host::is_gone_for_good(netns)) {
      if (netns.id == 0 || waited_ >= kLongest) return false;
      std::this_thread::sleep_for(kStep);
      waited_ += kStep;
    }
    return true;
  }

 private:
  static constexpr std::chrono::milliseconds kStep{5};
  static constexpr std::chrono::milliseconds kLongest{500};
  std::chrono::milliseconds waited_{0};
};

}  // namespace

LifeSigns read_signs(const LifeTrace& trace, const LifeHint& hint, const NamespaceLook& look,
                     const NetworkNamespace& newcomer) {
  const NetworkNamespace& recorded = trace.netns;
  const bool is_from_there = recorded.observer.is_known() && recorded.observer == look.from;
  const bool proves = look.is_all_but_descriptors && (look.is_initial || is_from_there);
  LifeSigns signs;
  if (is_number_of_any(look, recorded) ||
      (!hint.is_at_path && recorded.is_known() && is_number_used_again(recorded, newcomer))) {
    signs.netns = NamespaceState::gone;
    return signs;
  }
  const FoundNamespace* const own = find(look, recorded);
  signs.addresses = addresses_in(trace, own, look, newcomer, proves);
  if (!recorded.is_known())
    signs.netns = NamespaceState::unrecorded;
  else if (own != nullptr)
    signs.netns = own->has_task || !proves ? NamespaceState::exists : NamespaceState::empty;
  else if (hint.is_at_path)
    signs.netns = NamespaceState::exists;
  else if (proves && (look.is_complete || hint.is_gone_for_good))
    signs.netns = NamespaceState::gone;
  return signs;
}

std::vector<LifeSigns> find_life(const std::vector<LifeTrace>& traces,
                                 const NetworkNamespace& newcomer) {
  const std::vector<Place> places = look_at_paths(traces, newcomer);
  std::optional<NamespaceLook> look;
  KernelsWord word;
  std::vector<LifeSigns> all;
  for (std::size_t i = 0; i < traces.size(); ++i) {
    if (places[i].has_address) {
      all.push_back({NamespaceState::exists, AddressState::inside});
      continue;
    }
    if (places[i].is_replaced) {
      all.push_back({NamespaceState::gone, AddressState::unknown});
      continue;
    }
    if (!look) look = look_at_namespaces();
    const bool needs_word = look->is_all_but_descriptors && !look->is_complete &&
                            !places[i].is_at_path && find(*look, traces[i].netns) == nullptr;
    const LifeHint hint{places[i].is_at_path, needs_word && word.is_gone_for_good(traces[i].netns)};
    all.push_back(read_signs(traces[i], hint, *look, newcomer));
  }
  return all;
}

}  // namespace portmapper::host
