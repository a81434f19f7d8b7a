#include "nft/userdata.hpp"

#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <array>
#include <initializer_list>

namespace portmapper::nft {
namespace {

enum Type : std::uint8_t {
  kComment = 0,  // NFTNL_UDATA_*_COMMENT, with its NUL
  // Far from nft's own numbers, which start at 0.
  kOwner = 0xa0,
  kNamespace = 0xa1,  // device, inode, id: 8 bytes each
  kNamespacePath = 0xa2,
  kChain = 0xa3,
  kHairpin = 0xa4,
  kRuleTag = 0xa5,
  kCount = 0xa6,         // 8 bytes
  kNetwork = 0xa7,       // a hash, as kOwner
  kRestored = 0xa8,      // empty
  kObserver = 0xa9,      // inodes of PID and mount namespace: 8 bytes each
  kContainer = 0xaa,     // a hash, as kOwner
  kRestrictions = 0xab,  // 8 bytes
  kHairpinWish = 0xac,   // kinds, length of IPv4, of IPv6: a byte each
  kPod = 0xad,           // "default:nginx", where it is not in the comment
  kCookie = 0xae,        // 8 bytes
  kPlace = 0xaf,         // number, count: 8 bytes each
};

// NFT_USERDATA_MAXLEN is 256, but the kernel counts an element's userdata and its length in one byte:
// 255 bytes are refused (EINVAL, nft_set_ext_add_length).
constexpr std::size_t kMost = 254;
constexpr std::size_t kAround = 3;  // a comment: type, length, NUL

void add(std::string& bytes, Type type, std::string_view value) {
  bytes += static_cast<char>(type);
  bytes += static_cast<char>(value.size());
  bytes += value;
}

// 8 bytes each, the highest first.
void add_numbers(std::string& bytes, Type type, std::initializer_list<std::uint64_t> numbers) {
  bytes += static_cast<char>(type);
  bytes += static_cast<char>(numbers.size() * 8);
  for (const std::uint64_t number : numbers)
    for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(number >> shift & 0xff);
}

std::uint64_t parse_number(std::string_view bytes) {
  std::uint64_t number = 0;
  for (const char c : bytes.substr(0, 8)) number = number << 8 | static_cast<std::uint8_t>(c);
  return number;
}

std::optional<OwnerHash> parse_hash(std::string_view bytes) {
  OwnerHash hash{};
  if (bytes.size() != hash.size()) return std::nullopt;
  std::copy(bytes.begin(), bytes.end(), hash.begin());
  return hash;
}

template <typename Visit>
void for_each(std::span<const std::uint8_t> bytes, Visit visit) {
  while (bytes.size() >= 2) {
    const std::size_t length = bytes[1];
    if (bytes.size() < 2 + length) return;
    visit(bytes[0], std::string_view(reinterpret_cast<const char*>(bytes.data()) + 2, length));
    bytes = bytes.subspan(2 + length);
  }
}

// All but the comment, and what is left out where there is no room.
std::string fixed_part(const ElementData& data) {
  std::string rest;
  if (data.owner) add(rest, kOwner, to_string(*data.owner));
  if (data.netns.is_known()) {
    add_numbers(rest, kNamespace, {data.netns.device, data.netns.inode, data.netns.id});
    if (data.netns.cookie != 0) add_numbers(rest, kCookie, {data.netns.cookie});
    const Observer& observer = data.netns.observer;
    if (observer.is_known())
      add_numbers(rest, kObserver, {observer.pid_namespace, observer.mount_namespace});
  }
  if (!data.chain.empty()) add(rest, kChain, data.chain);
  if (data.hairpin != 0) add(rest, kHairpin, {reinterpret_cast<const char*>(&data.hairpin), 1});
  if (data.wish) {
    const std::array<char, 3> wish = {static_cast<char>(data.wish->kinds),
                                      static_cast<char>(data.wish->length4),
                                      static_cast<char>(data.wish->length6)};
    add(rest, kHairpinWish, {wish.data(), wish.size()});
  }
  if (data.count != 0) add_numbers(rest, kCount, {data.count});
  if (data.network) add(rest, kNetwork, to_string(*data.network));
  if (data.container) add(rest, kContainer, to_string(*data.container));
  if (data.restored) add(rest, kRestored, {});
  return rest;
}

}  // namespace

std::size_t room_for_comment(const ElementData& data) {
  return kMost - kAround - fixed_part(data).size();
}

void keep_identity(ElementData& owner, const Attachment& attachment) {
  if (owner.comment.size() <= std::min(kLongComment, room_for_comment(owner)) &&
      !is_shortened(owner.comment))
    return;
  owner.network = network_hash(attachment.network);
  owner.container = container_hash(attachment.container_id);
}

std::string encode(const ElementData& data) {
  const std::string rest = fixed_part(data);
  constexpr std::size_t kHead = 2;  // type, length
  std::string comment = shortened(data.comment, kMost - kAround - rest.size());
  std::size_t size = kAround + comment.size() + rest.size();
  const std::string& path = data.netns.path;
  const bool has_path = !path.empty() && size + kHead + path.size() <= kMost;
  if (has_path) size += kHead + path.size();  // which says who lives: it goes before a name
  std::string pod = to_string(data.pod);
  if (!pod.empty()) {
    const std::string beside = pod_comment(data.pod);
    if (comment.size() + beside.size() <= kMostComment && size + beside.size() <= kMost) {
      comment += beside;
      pod.clear();
    } else if (size + kHead + pod.size() > kMost) {
      pod.clear();
    }
  }
  std::string bytes = encode_comment(comment);
  bytes += rest;
  if (has_path) add(bytes, kNamespacePath, path);
  if (!pod.empty()) add(bytes, kPod, pod);
  return bytes;
}

ElementData parse_element_data(std::span<const std::uint8_t> bytes) {
  ElementData data;
  for_each(bytes, [&data](std::uint8_t type, std::string_view value) {
    if (type == kComment) {
      data.comment = value.substr(0, value.find('\0'));
      if (data.comment.ends_with(')')) data.pod = take_pod(data.comment);
    }
    if (type == kOwner) data.owner = parse_hash(value);
    if (type == kNetwork) data.network = parse_hash(value);
    if (type == kContainer) data.container = parse_hash(value);
    if (type == kRestored) data.restored = true;
    if (type == kCount && value.size() == 8)
      data.count = static_cast<std::uint32_t>(parse_number(value));
    if (type == kNamespace && value.size() == 24) {
      data.netns.device = parse_number(value);
      data.netns.inode = parse_number(value.substr(8));
      data.netns.id = parse_number(value.substr(16));
    }
    if (type == kCookie && value.size() == 8) data.netns.cookie = parse_number(value);
    if (type == kObserver && value.size() == 16) {
      data.netns.observer.pid_namespace = parse_number(value);
      data.netns.observer.mount_namespace = parse_number(value.substr(8));
    }
    if (type == kNamespacePath) data.netns.path = value;
    if (type == kChain) data.chain = value;
    if (type == kPod) data.pod = parse_pod(value);
    if (type == kHairpinWish && value.size() == 3)
      data.wish =
          HairpinWish{static_cast<std::uint8_t>(value[0]), static_cast<std::uint8_t>(value[1]),
                      static_cast<std::uint8_t>(value[2])};
    if (type == kHairpin && value.size() == 1) data.hairpin = static_cast<std::uint8_t>(value[0]);
  });
  return data;
}

std::string listed_comment(std::span<const std::uint8_t> bytes) {
  std::string comment;
  for_each(bytes, [&comment](std::uint8_t type, std::string_view value) {
    if (type == kComment) comment = value.substr(0, value.find('\0'));
  });
  return comment;
}

std::string encode_comment(std::string_view comment) {
  std::string bytes;
  add(bytes, kComment, std::string(comment) + '\0');
  return bytes;
}

std::string encode(const ChainOwner& owner) {
  std::string bytes = encode_comment(owner.comment);
  if (owner.network) add(bytes, kNetwork, to_string(*owner.network));
  if (owner.restrictions) add_numbers(bytes, kRestrictions, {*owner.restrictions});
  return bytes;
}

ChainOwner parse_chain_owner(std::span<const std::uint8_t> bytes) {
  ChainOwner owner;
  for_each(bytes, [&owner](std::uint8_t type, std::string_view value) {
    if (type == kComment) owner.comment = value.substr(0, value.find('\0'));
    if (type == kNetwork) owner.network = parse_hash(value);
    if (type == kRestrictions && value.size() == 8) owner.restrictions = parse_number(value);
  });
  return owner;
}

std::string encode_rule_tag(std::uint64_t fingerprint, RulePlace place) {
  std::string bytes;
  add_numbers(bytes, kRuleTag, {fingerprint});
  if (place.number != 0) add_numbers(bytes, kPlace, {place.number, place.count});
  return bytes;
}

std::uint64_t parse_rule_tag(std::span<const std::uint8_t> bytes) {
  std::uint64_t fingerprint = 0;
  for_each(bytes, [&fingerprint](std::uint8_t type, std::string_view value) {
    if (type == kRuleTag && value.size() == 8) fingerprint = parse_number(value);
  });
  return fingerprint;
}

RulePlace parse_rule_place(std::span<const std::uint8_t> bytes) {
  constexpr std::uint64_t kMostRules = 0xffff;  // whoever says more is not us
  RulePlace place;
  for_each(bytes, [&place](std::uint8_t type, std::string_view value) {
    if (type != kPlace || value.size() != 16) return;
    const std::uint64_t number = parse_number(value);
    const std::uint64_t count = parse_number(value.substr(8));
    if (number == 0 || number > count || count > kMostRules) return;
    place = {static_cast<std::uint32_t>(number), static_cast<std::uint32_t>(count)};
  });
  return place;
}

}  // namespace portmapper::nft
