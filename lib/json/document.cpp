// The one place that talks to simdjson. Its on-demand parser checks, before anything is read, that
// the whole text is UTF-8, that strings are closed and hold no control characters, and finds every
// token. The walk below visits every value, which checks the structure; tokens and escapes are
// checked as they come by. Its DOM would refuse a document for one number beyond 64 bits, anywhere
// in it, without saying which, and does not know where a value stands in the text.
#define SIMDJSON_EXCEPTIONS 0
#include "lib/json/document.hpp"

#include <simdjson.h>

#include <algorithm>
#include <optional>

#include "lib/json/skip.hpp"
#include "lib/json/text.hpp"

namespace portmapper::json {
namespace {

namespace ondemand = simdjson::ondemand;

// Objects with more members than this are sorted to find duplicate keys.
constexpr std::size_t kFewMembers = 16;

// What is wrong with a text, and the offset that it is about.
struct Complaint {
  std::string text{};  // empty: nothing is wrong
  std::size_t offset = 0;
};

std::string at_byte(std::size_t offset) {
  return "at byte " + std::to_string(offset + 1);
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// One or more digits at `at`, which moves behind them.
bool take_digits(std::string_view token, std::size_t& at) {
  const std::size_t start = at;
  while (at < token.size() && is_digit(token[at])) ++at;
  return at > start;
}

bool is_number(std::string_view token) {
  std::size_t at = token.starts_with('-') ? 1 : 0;
  const std::size_t integer = at;
  if (!take_digits(token, at) || (token[integer] == '0' && at - integer > 1)) return false;
  if (at < token.size() && token[at] == '.' && !take_digits(token, ++at)) return false;
  if (at < token.size() && (token[at] == 'e' || token[at] == 'E')) {
    if (++at < token.size() && (token[at] == '+' || token[at] == '-')) ++at;
    if (!take_digits(token, at)) return false;
  }
  return at == token.size();
}

Kind kind_of_token(std::string_view token) {
  if (token == "null") return Kind::null;
  if (token == "true" || token == "false") return Kind::boolean;
  return is_number(token) ? Kind::number : Kind::missing;
}

std::string_view trimmed(std::string_view token) {
  const std::size_t last = token.find_last_not_of(kWhiteSpace);
  return token.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

// Fills a Tree from simdjson's iterators; false as soon as something is wrong.
class Walk {
 public:
  explicit Walk(Tree& tree) : tree_(tree) {}

  bool object(ondemand::object object, std::size_t depth);
  // What is wrong, or nothing where simdjson's own error says it.
  std::string complaint;
  std::size_t last_offset = 0;  // of the last value that was looked at

 private:
  bool array(ondemand::array array, std::size_t depth);
  bool value(ondemand::value value, std::string_view key, std::size_t depth);
  bool inside(ondemand::value& value, Kind kind, std::size_t depth);
  bool key(ondemand::field& field, std::string_view& key);
  bool string(ondemand::value& value, std::string_view token, std::string_view& text);
  bool keep(std::string_view unescaped, std::string_view& text);
  bool complain(std::string text);

  Tree& tree_;
};

bool Walk::complain(std::string text) {
  complaint = std::move(text);
  return false;
}

// simdjson turns half of a surrogate pair into bytes that are not UTF-8.
bool Walk::keep(std::string_view unescaped, std::string_view& text) {
  if (first_invalid_utf8(unescaped) != std::string_view::npos) return false;
  text = tree_.unescaped.emplace_back(unescaped);
  return true;
}

bool Walk::key(ondemand::field& field, std::string_view& key) {
  const char* const start = field.key().raw();
  const char* const end = tree_.text.get() + tree_.size;
  const char* const quote = std::find(start, end, '"');
  key = {start, static_cast<std::size_t>(quote - start)};
  last_offset = static_cast<std::size_t>(start - tree_.text.get()) - 1;
  if (key.find('\\') == std::string_view::npos) return true;
  std::string_view unescaped;
  return field.unescaped_key().get(unescaped) == simdjson::SUCCESS && keep(unescaped, key);
}

bool Walk::string(ondemand::value& value, std::string_view token, std::string_view& text) {
  if (token.size() < 2 || token.back() != '"') return false;
  text = token.substr(1, token.size() - 2);
  // simdjson skips a value that was not consumed, and takes a string before a colon for a key: it
  // would let ["a":1] pass.
  if (text.find('\\') == std::string_view::npos)
    return value.get_raw_json_string().error() == simdjson::SUCCESS;
  std::string_view unescaped;
  return value.get_string().get(unescaped) == simdjson::SUCCESS && keep(unescaped, text);
}

bool Walk::inside(ondemand::value& value, Kind kind, std::size_t depth) {
  if (depth == kMaxDepth)
    return complain("is nested deeper than " + std::to_string(kMaxDepth) + " levels, " +
                    at_byte(last_offset));
  if (kind == Kind::object) {
    ondemand::object child;
    return value.get_object().get(child) == simdjson::SUCCESS && object(child, depth + 1);
  }
  ondemand::array child;
  return value.get_array().get(child) == simdjson::SUCCESS && array(child, depth + 1);
}

bool Walk::value(ondemand::value value, std::string_view key, std::size_t depth) {
  if (tree_.nodes.size() == kMaxValues)
    return complain("has more than " + std::to_string(kMaxValues) + " values");
  const std::string_view token = trimmed(value.raw_json_token());
  last_offset = static_cast<std::size_t>(token.data() - tree_.text.get());
  const auto index = static_cast<std::uint32_t>(tree_.nodes.size());
  const char first = token.empty() ? '\0' : token[0];
  Node node{.key = key.data(),
            .key_size = static_cast<std::uint32_t>(key.size()),
            .start = static_cast<std::uint32_t>(last_offset),
            .end = index + 1};
  std::string_view text;
  if (first == '{' || first == '[') {
    node.kind = first == '{' ? Kind::object : Kind::array;
  } else if (first == '"') {
    node.kind = Kind::string;
    if (!string(value, token, text)) return false;
  } else {
    node.kind = kind_of_token(token);
    if (node.kind == Kind::missing) return false;
    text = token;
  }
  node.text = text.data();
  node.text_size = static_cast<std::uint32_t>(text.size());
  tree_.nodes.push_back(node);
  if (node.kind < Kind::array) return true;
  if (!inside(value, node.kind, depth)) return false;
  tree_.nodes[index].end = static_cast<std::uint32_t>(tree_.nodes.size());
  return true;
}

bool Walk::object(ondemand::object object, std::size_t depth) {
  for (auto result : object) {
    ondemand::field field;
    std::string_view name;
    if (std::move(result).get(field) != simdjson::SUCCESS || !key(field, name)) return false;
    if (!value(field.value(), name, depth)) return false;
  }
  return true;
}

bool Walk::array(ondemand::array array, std::size_t depth) {
  for (auto result : array) {
    ondemand::value element;
    const simdjson::error_code error = std::move(result).get(element);  // NOLINT: get() is for &&
    if (error != simdjson::SUCCESS) return false;
    if (!value(element, {}, depth)) return false;
  }
  return true;
}

// The number of the second of two members with one key; 0, which is the root, if there is none.
// `members` is a buffer that is reused for every object.
std::uint32_t duplicate_member(const std::vector<Node>& nodes, std::uint32_t object,
                               std::vector<std::uint32_t>& members) {
  const auto key = [&](std::uint32_t at) {
    return std::string_view(nodes[at].key, nodes[at].key_size);
  };
  members.clear();
  for (std::uint32_t at = object + 1; at < nodes[object].end; at = nodes[at].end)
    members.push_back(at);
  if (members.size() <= kFewMembers) {
    for (std::size_t i = 1; i < members.size(); ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (key(members[i]) == key(members[j])) return members[i];
    return 0;
  }
  std::sort(members.begin(), members.end(), [&](std::uint32_t a, std::uint32_t b) {
    const int order = key(a).compare(key(b));
    return order != 0 ? order < 0 : a < b;
  });
  for (std::size_t i = 1; i < members.size(); ++i)
    if (key(members[i]) == key(members[i - 1])) return members[i];
  return 0;
}

// Two readers of a document with duplicate keys may act on different members.
Complaint find_duplicate(const Tree& tree) {
  std::vector<std::uint32_t> members;
  for (std::uint32_t at = 0; at < tree.nodes.size(); ++at) {
    if (tree.nodes[at].kind != Kind::object) continue;
    const std::uint32_t second = duplicate_member(tree.nodes, at, members);
    if (second != 0)
      return {"has the key " + Value(&tree, second).path() + " twice", tree.nodes[second].start};
  }
  return {};
}

// A word for what begins like a document of another type; empty for what is not JSON at all.
std::string_view other_top_level(std::string_view text) {
  switch (text[0]) {
    case '[':
      return "an array";
    case '"':
      return "a string";
    default:
      break;
  }
  switch (kind_of_token(text)) {
    case Kind::null:
      return "null";
    case Kind::boolean:
      return "a boolean";
    case Kind::number:
      return "a number";
    default:
      return {};
  }
}

Complaint not_json(std::string_view text, std::size_t offset) {
  return {"is not JSON, " + at_byte(offset) + ": " + quoted(text.substr(offset)), offset};
}

// What is wrong with a text before it is parsed.
Complaint precheck(std::string_view text) {
  if (text.size() > kMaxBytes) return {"is longer than " + std::to_string(kMaxBytes) + " bytes"};
  const std::size_t start = text.find_first_not_of(kWhiteSpace);
  if (start == std::string_view::npos) return {"is empty"};
  const std::size_t nul = text.find('\0');
  if (nul != std::string_view::npos) return {"has a NUL byte, " + at_byte(nul), nul};
  if (!simdjson::validate_utf8(text.data(), text.size())) {
    const std::size_t invalid = first_invalid_utf8(text);
    return {"is not UTF-8, " + at_byte(invalid), invalid};
  }
  if (text[start] == '{') return {};
  const std::string_view other = other_top_level(trimmed(text.substr(start)));
  if (other.empty()) return not_json(text, start);
  return {"is " + std::string(other) + ", not an object", start};
}

// What is behind the top-level object, or that it has no end.
Complaint misplaced_end(std::string_view text) {
  const std::size_t end = skip_value(text, text.find('{'));
  if (end == std::string_view::npos)
    return {"ends before its last object or string does", text.size()};
  const std::size_t behind = text.find_first_not_of(kWhiteSpace, end);
  if (behind == std::string_view::npos) return {};
  return {"continues after its end, " + at_byte(behind) + ": " + quoted(text.substr(behind)),
          behind};
}

// Mostly the end of the line on which somebody forgot the quote.
std::size_t first_control_inside_string(std::string_view text) {
  bool inside = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '"')
      inside = !inside;
    else if (inside && text[at] == '\\')
      ++at;
    else if (inside && static_cast<unsigned char>(text[at]) < 0x20)
      return at;
  }
  return text.size();
}

Complaint explain(std::string_view text, simdjson::error_code error, std::size_t last_offset) {
  if (error == simdjson::CAPACITY || error == simdjson::MEMALLOC)
    return {"does not fit into memory"};
  // An odd number of quotes is called an unclosed string, whichever quote is missing.
  if (error == simdjson::UNESCAPED_CHARS || error == simdjson::UNCLOSED_STRING) {
    const std::size_t control = first_control_inside_string(text);
    if (error == simdjson::UNESCAPED_CHARS || control < text.size())
      return {"has a control character inside a string", control};
  }
  Complaint end = misplaced_end(text);
  return end.text.empty() ? not_json(text, last_offset) : end;
}

Complaint fill(Tree& tree) {
  const std::string_view text(tree.text.get(), tree.size);
  const std::size_t start = text.find('{');
  ondemand::parser parser;
  ondemand::document document;
  ondemand::object root;
  simdjson::error_code error =
      parser
          .iterate(simdjson::padded_string_view(tree.text.get(), tree.size,
                                                tree.size + simdjson::SIMDJSON_PADDING))
          .get(document);
  if (error == simdjson::SUCCESS) error = document.get_object().get(root);
  if (error != simdjson::SUCCESS) return explain(text, error, start);
  tree.nodes.push_back(
      {.start = static_cast<std::uint32_t>(start), .end = 1, .kind = Kind::object});
  Walk walk(tree);
  const bool complete = walk.object(root, 1);
  if (!walk.complaint.empty()) return {walk.complaint, walk.last_offset};
  const char* behind = nullptr;  // simdjson calls it out of bounds where there is nothing
  if (!complete || document.current_location().get(behind) != simdjson::OUT_OF_BOUNDS)
    return explain(text, simdjson::TAPE_ERROR, std::max(start, walk.last_offset));
  tree.nodes[0].end = static_cast<std::uint32_t>(tree.nodes.size());
  return find_duplicate(tree);
}

// Or else the environment (SIMDJSON_FORCE_IMPLEMENTATION) would choose one that reads nothing. What
// the CPU can do is asked for by instructions that the host of a virtual machine has to answer, so
// small documents do without.
void choose_implementation(std::size_t size) {
  constexpr std::size_t kSmall = std::size_t{64} * 1024;
  const auto& available = simdjson::get_available_implementations();
  const simdjson::implementation* simple = size < kSmall ? available["fallback"] : nullptr;
  simdjson::get_active_implementation() =
      simple != nullptr ? simple : available.detect_best_supported();
}

}  // namespace

Result<Document> Document::parse(std::string_view text, std::string_view what, std::size_t* place) {
  choose_implementation(text.size());
  Complaint complaint = precheck(text);
  auto tree = std::make_unique<Tree>();
  if (complaint.text.empty()) {
    tree->text = std::make_unique<char[]>(text.size() + simdjson::SIMDJSON_PADDING);
    tree->size = text.size();
    std::copy(text.begin(), text.end(), tree->text.get());
    complaint = fill(*tree);
  }
  if (complaint.text.empty()) return Document(std::move(tree));
  if (place != nullptr) *place = complaint.offset;
  return invalid_input(std::string(what) + " " + complaint.text);
}

}  // namespace portmapper::json
