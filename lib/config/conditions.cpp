#include "lib/config/conditions.hpp"

#include <algorithm>
#include <array>
#include <span>

#include "lib/config/condition_form.hpp"
#include "lib/config/condition_value.hpp"
#include "lib/config/condition_words.hpp"
#include "lib/json/text.hpp"

namespace portmapper::config {
namespace {

using Kind = ConditionWord::Kind;
using Words = std::span<const ConditionWord>;

struct Phrase {
  std::array<std::string_view, 3> words;
  MatchField field;
  std::optional<Protocol> transport{};
};
constexpr std::array kPhrases = {
    Phrase{{"ip", "saddr"}, MatchField::ip_saddr},
    Phrase{{"ip", "daddr"}, MatchField::ip_daddr},
    Phrase{{"ip6", "saddr"}, MatchField::ip6_saddr},
    Phrase{{"ip6", "daddr"}, MatchField::ip6_daddr},
    Phrase{{"iifname"}, MatchField::iifname},
    Phrase{{"oifname"}, MatchField::oifname},
    Phrase{{"meta", "mark"}, MatchField::mark},
    Phrase{{"meta", "l4proto"}, MatchField::l4proto},
    Phrase{{"meta", "iifname"}, MatchField::iifname},
    Phrase{{"meta", "oifname"}, MatchField::oifname},
    Phrase{{"tcp", "sport"}, MatchField::sport, Protocol::tcp},
    Phrase{{"tcp", "dport"}, MatchField::dport, Protocol::tcp},
    Phrase{{"udp", "sport"}, MatchField::sport, Protocol::udp},
    Phrase{{"udp", "dport"}, MatchField::dport, Protocol::udp},
    Phrase{{"sctp", "sport"}, MatchField::sport, Protocol::sctp},
    Phrase{{"sctp", "dport"}, MatchField::dport, Protocol::sctp},
    Phrase{{"th", "sport"}, MatchField::sport},
    Phrase{{"th", "dport"}, MatchField::dport},
    Phrase{{"ct", "state"}, MatchField::ct_state},
    Phrase{{"fib", "daddr", "type"}, MatchField::fib_daddr_type},
};
constexpr std::string_view kSupported =
    "is not a supported match; those are ip|ip6 saddr|daddr, iifname, oifname, meta mark|l4proto, "
    "tcp|udp|sctp|th sport|dport, ct state, fib daddr type";

struct Comparison {
  std::string_view symbol;
  std::string_view word;
  MatchOperator op;
};
constexpr std::array kComparisons = {Comparison{"==", "eq", MatchOperator::equal},
                                     Comparison{"!=", "ne", MatchOperator::not_equal},
                                     Comparison{"<", "lt", MatchOperator::less},
                                     Comparison{">", "gt", MatchOperator::greater},
                                     Comparison{"<=", "le", MatchOperator::at_most},
                                     Comparison{">=", "ge", MatchOperator::at_least}};

bool is_order(MatchOperator op) {
  return op >= MatchOperator::less;
}

bool has_order(MatchField field) {
  return !is_interface(field) && field != MatchField::ct_state &&
         field != MatchField::fib_daddr_type;
}

bool begins_match(std::string_view word) {
  return std::any_of(kPhrases.begin(), kPhrases.end(),
                     [word](const Phrase& phrase) { return phrase.words[0] == word; });
}

// Goes through the words; the first that is wrong ends it.
class Parser {
 public:
  Parser(Words words, Family family, std::string_view key)
      : words_(words), family_(family), key_(key) {}

  Result<std::vector<Match>> parse();

 private:
  [[nodiscard]] bool at_end() const { return at_ == words_.size(); }
  [[nodiscard]] bool at_symbol(std::string_view symbol) const {
    return !at_end() && words_[at_].is_symbol(symbol);
  }
  bool accept(std::string_view symbol) { return at_symbol(symbol) && (++at_, true); }
  bool fail(const ConditionWord& word, std::string_view complaint);
  bool fail_here(std::string_view expected, std::string_view complaint);
  bool parse_match();
  bool parse_phrase(Match& match);
  bool parse_operator(Match& match);
  bool parse_set(Match& match);
  bool parse_value(Match& match);
  bool parse_states(Match& match);
  bool check_family(const Phrase& phrase);
  bool check_contradictions();

  Words words_;
  Family family_;
  std::string_view key_;
  std::size_t at_ = 0;
  std::size_t first_ = 0;  // of the match that is parsed
  std::vector<Match> matches_;
  std::vector<std::size_t> starts_;  // of each of matches_
  std::string complaint_;
};

bool Parser::fail(const ConditionWord& word, std::string_view complaint) {
  complaint_ = std::string(key_) + "[" + std::to_string(word.position) +
               "]: " + json::quoted(word.text) + " " + std::string(complaint);
  return false;
}

// About the word that comes next, or about the last one where there is none.
bool Parser::fail_here(std::string_view expected, std::string_view complaint) {
  if (at_end())
    return fail(words_[at_ - 1], "is the last word; after it must follow " + std::string(expected));
  if (words_[at_].kind == Kind::unterminated)
    return fail(words_[at_], "opens a quote that does not end in this string");
  return fail(words_[at_], complaint);
}

bool Parser::check_family(const Phrase& phrase) {
  const bool is_ipv4 = phrase.words[0] == "ip";
  if (!is_ipv4 && phrase.words[0] != "ip6") return true;
  if (is_ipv4 == (family_ == Family::ipv4)) return true;
  return fail(words_[first_], is_ipv4 ? "matches IPv4 alone, and these conditions are for IPv6"
                                      : "matches IPv6 alone, and these conditions are for IPv4");
}

// The words up to the operator.
bool Parser::parse_phrase(Match& match) {
  std::vector<const Phrase*> possible;
  possible.reserve(kPhrases.size());
  for (const Phrase& phrase : kPhrases) possible.push_back(&phrase);
  std::size_t depth = 0;
  while (depth == 0 || (depth < 3 && !possible.front()->words[depth].empty())) {
    std::string expected;
    for (const Phrase* phrase : possible)
      expected.append(expected.empty() ? "" : " or ").append(phrase->words[depth]);
    const std::string_view before = depth == 0 ? "" : words_[at_ - 1].text;
    std::erase_if(possible, [&](const Phrase* phrase) {
      return at_end() || !words_[at_].is_plain(phrase->words[depth]);
    });
    if (possible.empty())
      return fail_here(expected, depth == 0 ? std::string(kSupported)
                                            : "after \"" + std::string(before) +
                                                  "\" is not supported; " + expected + " is");
    ++at_;
    ++depth;
  }
  match.field = possible.front()->field;
  match.transport = possible.front()->transport;
  return check_family(*possible.front());
}

bool Parser::parse_operator(Match& match) {
  if (at_end()) return true;
  const ConditionWord& word = words_[at_];
  const auto* const found =
      std::find_if(kComparisons.begin(), kComparisons.end(), [&word](const Comparison& comparison) {
        return word.is_symbol(comparison.symbol) || word.is_plain(comparison.word);
      });
  if (found == kComparisons.end()) return true;
  match.op = found->op;
  // nft tests a state's bits, but compares all of them after "==".
  if (match.op == MatchOperator::equal && match.field == MatchField::ct_state)
    match.op = MatchOperator::exactly;
  if (is_order(match.op) && !has_order(match.field))
    return fail(word, "needs values with an order; use == or != here");
  ++at_;
  return true;
}

bool Parser::parse_value(Match& match) {
  const std::string_view expected = expected_of(match.field);
  const std::string complaint = "is not " + std::string(expected);
  if (at_end() || words_[at_].kind == Kind::symbol || words_[at_].kind == Kind::unterminated)
    return fail_here(expected, complaint);
  const ConditionWord& word = words_[at_];
  if (is_interface(match.field) && word.kind == Kind::plain && begins_match(word.text))
    return fail(word, kNeedsQuotes);
  std::string_view why;
  const std::optional<MatchValue> value = parse_condition_value(match.field, word, why);
  if (!value) return fail(word, why.empty() ? complaint : why);
  match.values.push_back(*value);
  ++at_;
  return true;
}

// new,established: any of them
bool Parser::parse_states(Match& match) {
  std::uint32_t bits = to_number(match.values.front(), 4);
  while (accept(",")) {
    if (match.op == MatchOperator::exactly)
      return fail(words_[at_ - 1],
                  "lists states after \"==\", and no packet has several; "
                  "without \"==\" any of them matches");
    if (!parse_value(match)) return false;
    bits |= to_number(match.values.back(), 4);
  }
  match.values = {MatchValue::number(bits, 4)};
  return true;
}

bool Parser::parse_set(Match& match) {
  const ConditionWord& opening = words_[at_ - 1];
  if (is_order(match.op)) return fail(opening, "opens a set, where one value is compared");
  do {
    if (at_end()) return fail(opening, "opens a set that does not end");
    if (!parse_value(match)) return false;
    const std::size_t comma = at_;
    while (accept(",")) {
    }
    if (accept("}")) break;
    if (at_end()) return fail(opening, "opens a set that does not end");
    if (at_ == comma) return fail(words_[at_], "is in a set where \",\" or \"}\" is expected");
  } while (true);
  const bool is_list = match.values.size() > 1;
  if (is_list) match.values = as_set(match.field, std::move(match.values));
  const bool is_interval =
      std::any_of(match.values.begin(), match.values.end(),
                  [](const MatchValue& value) { return value.form == MatchValue::Form::range; });
  if (is_interface(match.field) && is_interval)
    return fail(opening,
                "opens a set of names that nft joins to one range and cannot list; write "
                "them another way");
  // To look a state up compares all bits anyway.
  if (is_list && match.op == MatchOperator::exactly) match.op = MatchOperator::equal;
  return true;
}

bool Parser::parse_match() {
  first_ = at_;
  const ConditionWord& word = words_[at_];
  if (word.is_plain("-") || word.is_plain("/"))
    return fail(word, "stands alone; a range or a prefix is one word");
  if (word.is_symbol("!") || (word.kind == Kind::plain && word.text.starts_with('-')))
    return fail(word, "belongs to iptables; conditions are words of an nft match expression");
  Match match{};
  if (!parse_phrase(match) || !parse_operator(match)) return false;
  if (accept("{")) {
    if (!parse_set(match)) return false;
  } else {
    const std::size_t value = at_;
    if (!parse_value(match)) return false;
    if (is_order(match.op) && match.values.front().form != MatchValue::Form::one)
      return fail(words_[value], "is a prefix or a range, where one value is compared");
    if (match.field == MatchField::ct_state && !parse_states(match)) return false;
    if (at_symbol(",")) return fail(words_[at_], "is not in a set; several values are { a, b }");
  }
  MatchValue& only = match.values.front();
  if (!match.is_set() && only.form == MatchValue::Form::prefix && only.first == only.last)
    only.form = MatchValue::Form::one;
  matches_.push_back(std::move(match));
  starts_.push_back(first_);
  return true;
}

bool Parser::check_contradictions() {
  const auto pair = contradiction(matches_);
  if (!pair) return true;
  const ConditionWord& later = words_[starts_[pair->first]];
  const ConditionWord& earlier = words_[starts_[pair->second]];
  return fail(later, "contradicts " + json::quoted(earlier.text) + " of " + std::string(key_) +
                         "[" + std::to_string(earlier.position) +
                         "]: one rule is about one protocol");
}

Result<std::vector<Match>> Parser::parse() {
  bool is_right = true;
  while (is_right && !at_end()) {
    is_right = parse_match();
    if (is_right && matches_.size() > kMaxConditions)
      is_right = fail(words_[first_], "begins one match more than the " +
                                          std::to_string(kMaxConditions) + " that a rule can have");
  }
  if (is_right) is_right = check_contradictions();
  if (!is_right) return invalid_input(complaint_);
  return normal_form(std::move(matches_));
}

}  // namespace

Result<std::vector<Match>> parse_conditions(const std::vector<std::string>& words, Family family,
                                            std::string_view key) {
  const std::vector<ConditionWord> split = split_words(words);
  return Parser(split, family, key).parse();
}

}  // namespace portmapper::config
