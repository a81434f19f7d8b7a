// Document and Value: a JSON text, checked completely, and its content.
//
//   const Result<json::Document> document = json::Document::parse(text, "the configuration");
//   const json::Value name = document->root().member("name");
//   if (name.kind() == json::Kind::string) use(name.text(), name.path());
//   use(document->root().member("prevResult").raw());  // its bytes, as they came in
//
// parse accepts one JSON object and nothing else, and refuses input that readers interpret
// differently: duplicate keys (as compared after escapes are resolved), NUL bytes, text that is not
// UTF-8, more than kMaxDepth levels, text behind the object. Numbers stay text, so that a number
// that fits no type here is still passed on, and still named in an error. A Value is a handle of
// two words, valid as long as its Document; asking a Value of the wrong kind is harmless: it has no
// members, and its text is empty.
//
// Sizes and positions are in bytes; positions in messages count from 1. Time and memory grow
// linearly with the text. Errors: invalid_input, one sentence that begins with `what`. Does not
// promise: comments, NaN, a byte order mark, or more than kMaxValues values.
// Source: RFC 8259; simdjson's doc/ondemand.md. This module alone includes simdjson.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/error.hpp"

namespace portmapper::json {

constexpr std::size_t kMaxDepth = 256;
// 40 bytes each, which limits what a hostile text can make us allocate. 200,000 port mappings are a
// million.
constexpr std::size_t kMaxValues = 4U << 20U;
constexpr std::size_t kMaxBytes = 256U << 20U;

enum class Kind : std::uint8_t { missing, null, boolean, number, string, array, object };

// The tree as a flat list in document order: a value's children follow it, up to `end`.
struct Node {
  const char* key = nullptr;   // unescaped; of a member of an object
  const char* text = nullptr;  // unescaped string; the token of null, booleans and numbers
  std::uint32_t key_size = 0;
  std::uint32_t text_size = 0;
  std::uint32_t start = 0;  // offset of the value's first byte in the document
  std::uint32_t end = 0;    // index of the first node that is no longer inside
  Kind kind = Kind::missing;
};

struct Tree {
  std::unique_ptr<char[]> text;  // the document and the padding that simdjson reads beyond it
  std::size_t size = 0;
  std::vector<Node> nodes;
  std::deque<std::string> unescaped;  // only the strings that have escapes
};

class Value {
 public:
  class Iterator;

  Value() = default;  // missing
  Value(const Tree* tree, std::uint32_t index) : tree_(tree), index_(index) {}

  [[nodiscard]] Kind kind() const { return tree_ == nullptr ? Kind::missing : node().kind; }
  // Neither missing nor null, which mean the same in every format read here.
  [[nodiscard]] bool present() const { return kind() > Kind::null; }
  [[nodiscard]] std::string_view key() const;
  [[nodiscard]] std::string_view text() const;
  [[nodiscard]] std::string_view raw() const;  // byte for byte, without surrounding white space
  [[nodiscard]] std::size_t offset() const;    // of its first byte in the document
  [[nodiscard]] Value member(std::string_view key) const;
  // `args."org.apache.mesos".network_info.port_mappings[1]`; empty for the root. Takes time: it is
  // looked for from the root, which only errors pay for.
  [[nodiscard]] std::string path() const;
  // Members of an object or elements of an array; of any other value, none.
  [[nodiscard]] Iterator begin() const;
  [[nodiscard]] Iterator end() const;

 private:
  [[nodiscard]] const Node& node() const { return tree_->nodes[index_]; }

  const Tree* tree_ = nullptr;
  std::uint32_t index_ = 0;
};

class Value::Iterator {
 public:
  Iterator(const Tree* tree, std::uint32_t index) : tree_(tree), index_(index) {}
  Value operator*() const { return {tree_, index_}; }
  Iterator& operator++() {
    index_ = tree_->nodes[index_].end;
    return *this;
  }
  bool operator==(const Iterator& other) const { return index_ == other.index_; }

 private:
  const Tree* tree_;
  std::uint32_t index_;
};

class Document {
 public:
  // Copies `text`. `what` names the document in errors: "the configuration". Where there is an error,
  // `place` gets the offset of what it is about: for somebody who edits the text.
  static Result<Document> parse(std::string_view text, std::string_view what,
                                std::size_t* place = nullptr);

  [[nodiscard]] Value root() const { return {tree_.get(), 0}; }

 private:
  explicit Document(std::unique_ptr<Tree> tree) : tree_(std::move(tree)) {}

  std::unique_ptr<Tree> tree_;
};

}  // namespace portmapper::json
