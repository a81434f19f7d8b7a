// Conditions: the first byte chooses the family, the lines behind it are the elements of the list.
#include "lib/config/conditions.hpp"

#include <algorithm>

#include "lib/json/text.hpp"
#include "nft/encode.hpp"
#include "nft/ruleset.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/fuzz/lines.hpp"

using namespace portmapper;
using namespace portmapper::config;
using namespace portmapper::nft;
using namespace portmapper::fuzz;

namespace {

// nft lists some sets of marks and states in forms that conditions do not take.
bool is_readable(const Match& match) {
  if (match.field == MatchField::ct_state) return match.op == MatchOperator::equal;
  return match.field != MatchField::mark ||
         std::none_of(match.values.begin(), match.values.end(), [](const MatchValue& value) {
           return value.form == MatchValue::Form::prefix;
         });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  // They come from JSON, which is UTF-8.
  if (json::first_invalid_utf8(text_of(data, size)) != std::string_view::npos) return 0;
  const Family family = (data[0] & 1) == 0 ? Family::ipv4 : Family::ipv6;
  const Result<std::vector<Match>> matches =
      parse_conditions(lines_of(text_of(data + 1, size - 1)), family, "conditionsV4");
  if (!matches) {
    demand_error(matches.error());
    return 0;
  }
  std::string text;
  for (const Match& match : *matches) text += to_string(match) + " ";
  demand_printable(text);
  const Result<std::vector<Match>> again = parse_conditions({text}, family, "conditionsV4");
  if (std::all_of(matches->begin(), matches->end(), is_readable))
    demand(again && *again == *matches, "conditions read again as what they are", text);
  NetworkChain network{"WEB", {}};
  (family == Family::ipv4 ? network.conditions_v4 : network.conditions_v6) = *matches;
  const std::vector<std::string> jumps = {network.name};
  demand(!encode(build_tables(network, jumps, {})).operations.empty(), "they are encoded", text);
  return 0;
}
