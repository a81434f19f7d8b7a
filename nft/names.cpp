#include "nft/names.hpp"

#include <algorithm>

#include "lib/base/hash.hpp"

namespace portmapper::nft {
namespace {

constexpr std::string_view kCut = "...";  // in place of the end of what does not fit
constexpr char kContainerId[] = "container_id: ";

std::string with_suffix(std::string_view prefix, Suffix suffix) {
  std::string name(prefix);
  name += suffix.scope == AddressScope::one ? "-hostip" : "-ip";
  if (suffix.family == Family::ipv6) name += '6';
  return name;
}

// Shorter ones are whole, whatever they end in: the rest of the userdata leaves more room than that.
constexpr std::size_t kShortestCut = 40;

// As CNI has names; so neither a blank nor a parenthesis is in one.
bool is_pod_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

}  // namespace

std::string shortened(std::string text, std::size_t limit) {
  if (text.size() <= limit) return text;
  text.resize(limit - kCut.size());
  return text.append(kCut);
}

bool is_shortened(std::string_view comment) {
  return comment.size() > kShortestCut && comment.ends_with(kCut);
}

OwnerHash network_hash(std::string_view network) {
  return owner_hash({std::string(network), {}, {}});
}

OwnerHash container_hash(std::string_view container_id) {
  return owner_hash({{}, std::string(container_id), {}});
}

std::string claim_set(Suffix suffix) {
  return with_suffix(kPublished, suffix);
}

std::string target_map(std::string_view chain, Suffix suffix) {
  return with_suffix(chain, suffix);
}

std::string loopback_set(Family family) {
  return with_suffix(kLoopback, {family, AddressScope::any});
}

std::string hairpin_set(Family family) {
  return with_suffix(kHairpin, {family, AddressScope::any});
}

const char* table_comment(std::string_view table) {
  return table == kTable ? kTableComment : kEgressTableComment;
}

std::string container_comment(std::string_view container_id) {
  return shortened(kContainerId + std::string(container_id), kMostComment);
}

std::string network_comment(std::string_view network) {
  return shortened("network: " + std::string(network), kMostComment);
}

std::string attachment_comment(const Attachment& attachment) {
  return shortened(attachment.network + "/" + attachment.container_id + "/" + attachment.ifname,
                   kMostComment);
}

std::string to_string(const Pod& pod) {
  return pod.space.empty() || !pod.is_known() ? pod.name : pod.space + ":" + pod.name;
}

Pod parse_pod(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view name = colon == std::string_view::npos ? text : text.substr(colon + 1);
  const std::string_view space = colon == std::string_view::npos ? "" : text.substr(0, colon);
  if (!is_pod_name(name) || (colon != std::string_view::npos && !is_pod_name(space))) return {};
  return {std::string(space), std::string(name)};
}

std::string pod_comment(const Pod& pod) {
  return pod.is_known() ? " (" + to_string(pod) + ")" : "";
}

Pod take_pod(std::string& comment) {
  const std::size_t begin = comment.rfind(" (");
  if (!comment.ends_with(')') || begin == std::string::npos) return {};
  Pod pod = parse_pod(std::string_view(comment).substr(begin + 2, comment.size() - begin - 3));
  if (pod.is_known()) comment.resize(begin);
  return pod;
}

bool is_of_network(std::string_view comment, std::string_view network) {
  return comment.starts_with(std::string(network) + "/");
}

bool parse_attachment_comment(std::string_view comment, Attachment& attachment) {
  const std::size_t first = comment.find('/');
  const std::size_t last = comment.rfind('/');
  if (is_shortened(comment) || first == last || first == std::string_view::npos) return false;
  attachment = {std::string(comment.substr(0, first)),
                std::string(comment.substr(first + 1, last - first - 1)),
                std::string(comment.substr(last + 1))};
  return true;
}

Attachment known_parts(std::string_view comment) {
  Attachment attachment{"?", "?", "?"};
  if (parse_attachment_comment(comment, attachment)) return attachment;
  const std::size_t first = comment.find('/');
  if (!is_shortened(comment) || first == std::string_view::npos)
    return {"?", std::string(comment), "?"};
  attachment.network = comment.substr(0, first);
  const std::size_t second = comment.find('/', first + 1);
  attachment.container_id = comment.substr(first + 1, second - first - 1);
  return attachment;
}

std::optional<std::string> parse_container_comment(std::string_view comment) {
  constexpr std::string_view kPrefix(kContainerId);
  if (!comment.starts_with(kPrefix) || is_shortened(comment)) return std::nullopt;
  return std::string(comment.substr(kPrefix.size()));
}

OwnerHash owner_hash(const Attachment& attachment) {
  // '/' is in none of the three names, so different attachments give different texts.
  const auto digest =
      sha256(attachment.network + "/" + attachment.container_id + "/" + attachment.ifname);
  OwnerHash hash{};
  hash[0] = 'k';
  std::uint32_t bits = 0;
  unsigned available = 0;
  std::size_t next = 0;
  for (std::size_t i = 1; i < hash.size(); ++i) {
    if (available < 5) {
      bits = bits << 8 | digest[next++];
      available += 8;
    }
    available -= 5;
    hash[i] = "0123456789abcdefghijklmnopqrstuv"[bits >> available & 31U];
  }
  return hash;
}

std::string derived_chain(std::string_view network) {
  std::string name = std::string(kSharedChain) + "-" + std::string(network);
  if (name.size() <= kMaxChainName) return name;
  // Too long: the hash in place of the end keeps two such networks apart.
  const OwnerHash hash = network_hash(network);
  name.resize(kMaxChainName - hash.size() - 1);
  return name + "-" + std::string(to_string(hash));
}

}  // namespace portmapper::nft
