#include "lib/config/condition_form.hpp"

#include <algorithm>

namespace portmapper::config {
namespace {

bool is_port(const Match& match) {
  return match.field == MatchField::sport || match.field == MatchField::dport;
}

bool is_protocol_set(const Match& match) {
  return match.field == MatchField::l4proto && match.op == MatchOperator::equal && match.is_set();
}

bool is_one_port(const Match& match, MatchField field) {
  return match.field == field &&
         (match.op == MatchOperator::equal || match.op == MatchOperator::not_equal) &&
         !match.is_set() && match.values.front().form == MatchValue::Form::one;
}

void demand_once(std::vector<Match>& matches) {
  const std::optional<Protocol> protocol = demanded_protocol(matches);
  if (!protocol) return;
  bool is_said = false;
  for (Match& match : matches) {
    if (!is_port(match)) continue;
    match.transport = protocol;
    is_said = true;
  }
  std::erase_if(matches, [&is_said](const Match& match) {
    if (!demands_protocol_only(match)) return false;
    const bool is_repeated = is_said;
    is_said = true;
    return is_repeated;
  });
}

void order_ports(std::vector<Match>& matches) {
  // nft sorts by offset and joins neighbours: the last source with the first destination.
  const auto source = std::find_if(matches.rbegin(), matches.rend(), [](const Match& match) {
    return is_one_port(match, MatchField::sport);
  });
  const auto destination = std::find_if(matches.begin(), matches.end(), [](const Match& match) {
    return is_one_port(match, MatchField::dport);
  });
  if (source == matches.rend() || destination == matches.end() || source->op != destination->op)
    return;
  const auto behind_source = source.base();
  if (destination < behind_source)
    std::rotate(destination, destination + 1, behind_source);
  else
    std::rotate(behind_source, destination, destination + 1);
}

}  // namespace

std::optional<std::pair<std::size_t, std::size_t>> contradiction(std::span<const Match> matches) {
  std::optional<std::size_t> demanding;
  std::optional<std::size_t> set;
  for (std::size_t i = 0; i < matches.size(); ++i) {
    const std::optional<Protocol> demanded = demanded_protocol(matches.subspan(i, 1));
    if (demanded) {
      if (set) return std::pair{i, *set};
      if (demanding && demanded_protocol(matches.subspan(*demanding, 1)) != demanded)
        return std::pair{i, *demanding};
      demanding = i;
    } else if (is_protocol_set(matches[i])) {
      if (demanding) return std::pair{i, *demanding};
      set = i;
    }
  }
  return std::nullopt;
}

std::vector<Match> normal_form(std::vector<Match> matches) {
  demand_once(matches);
  order_ports(matches);
  return matches;
}

}  // namespace portmapper::config
