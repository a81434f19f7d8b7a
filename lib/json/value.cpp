#include "lib/json/document.hpp"
#include "lib/json/skip.hpp"
#include "lib/json/text.hpp"

namespace portmapper::json {
namespace {

bool is_plain(std::string_view key) {
  if (key.empty() || key.size() > kQuotedBytes) return false;
  for (const char c : key)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
          c == '-'))
      return false;
  return true;
}

void append_step(std::string& path, std::string_view key) {
  if (!path.empty()) path += '.';
  if (is_plain(key))
    path += key;
  else
    path += quoted(key);
}

}  // namespace

std::string_view Value::key() const {
  if (tree_ == nullptr) return {};
  return {node().key, node().key_size};
}

std::string_view Value::text() const {
  if (tree_ == nullptr) return {};
  return {node().text, node().text_size};
}

std::string_view Value::raw() const {
  if (tree_ == nullptr) return {};
  const std::string_view document(tree_->text.get(), tree_->size);
  return document.substr(node().start, skip_value(document, node().start) - node().start);
}

std::size_t Value::offset() const {
  return tree_ == nullptr ? 0 : node().start;
}

Value Value::member(std::string_view key) const {
  if (kind() == Kind::object)
    for (const Value child : *this)
      if (child.key() == key) return child;
  return {};
}

std::string Value::path() const {
  std::string path;
  if (tree_ == nullptr) return path;
  const std::vector<Node>& nodes = tree_->nodes;
  for (std::uint32_t at = 0; at != index_;) {
    const bool in_object = nodes[at].kind == Kind::object;
    std::size_t position = 0;
    for (++at; nodes[at].end <= index_; at = nodes[at].end) ++position;
    if (in_object)
      append_step(path, {nodes[at].key, nodes[at].key_size});
    else
      path += "[" + std::to_string(position) + "]";
  }
  return path;
}

Value::Iterator Value::begin() const {
  return {tree_, tree_ == nullptr ? 0 : index_ + 1};
}

Value::Iterator Value::end() const {
  return {tree_, tree_ == nullptr ? 0 : node().end};
}

}  // namespace portmapper::json
