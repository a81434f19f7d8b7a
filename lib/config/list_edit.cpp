#include "lib/config/list_edit.hpp"

#include <vector>

#include "lib/cni/plugin_input.hpp"
#include "lib/json/document.hpp"
#include "lib/json/skip.hpp"

namespace portmapper::config {
namespace {

// A value of the text: its first byte, and the first behind it.
struct Span {
  std::size_t begin = 0;
  std::size_t end = 0;
};

// Where things stand in a list.
struct Places {
  std::vector<Span> plugins{};
  std::vector<Span> ours{};     // the values of `type` that are ours
  std::vector<Span> portmap{};  // and portmap's
  std::size_t our_plugin = 0;   // the first of ours, among the plugins
  std::string nested{};         // the key path of either below a plugin, such as a delegate's
};

Span span_of(const json::Value& value) {
  return {value.offset(), value.offset() + value.raw().size()};
}

bool is_either(const json::Value& type) {
  return type.text() == cni::kPortmapType || type.text() == cni::kOurType;
}

// The value of the first `type` below that is the one or the other.
json::Value type_below(const json::Value& value) {
  for (const json::Value below : value) {
    if (is_either(below.member("type"))) return below.member("type");
    if (const json::Value found = type_below(below); found.present()) return found;
  }
  return {};
}

Result<Places> places_of(std::string_view text, const std::string& name) {
  const Result<json::Document> document = json::Document::parse(text, name);
  if (!document) return document.error();
  const json::Value plugins = document->root().member("plugins");
  if (plugins.kind() != json::Kind::array)
    return invalid_input(
        name +
        " has no list of plugins: nft-port-mapper needs one, in a file that ends in"
        " .conflist, behind the plugin that makes the interface");
  Places places;
  for (const json::Value plugin : plugins) {
    const json::Value type = plugin.member("type");
    if (type.text() == cni::kOurType) {
      if (places.ours.empty()) places.our_plugin = places.plugins.size();
      places.ours.push_back(span_of(type));
    }
    if (type.text() == cni::kPortmapType) places.portmap.push_back(span_of(type));
    places.plugins.push_back(span_of(plugin));
    if (!places.nested.empty()) continue;
    if (const json::Value below = type_below(plugin); below.present())
      places.nested = below.path() + " is " + std::string(below.raw());
  }
  if (places.plugins.empty())
    return invalid_input(name +
                         ": plugins is empty; the plugin that makes the interface has to stand"
                         " there first");
  return places;
}

std::string with(std::string_view text, Span span, std::string_view instead) {
  return std::string(text).replace(span.begin, span.end - span.begin, instead);
}

std::string quoted_type() {
  return '"' + std::string(cni::kOurType) + '"';
}

// The white space before a value.
std::string_view indentation(std::string_view text, std::size_t offset) {
  const std::size_t before = text.substr(0, offset).find_last_not_of(json::kWhiteSpace);
  return text.substr(before + 1, offset - before - 1);
}

// Of entries by their types' number, one of which is enough.
Error too_many(const std::string& name, std::size_t count, std::string_view type) {
  return invalid_input(name + " has " + std::to_string(count) + " entries of the type " +
                       std::string(type) + "; keep one of them");
}

// An entry goes with the comma that it has come with.
Result<std::string> without_entry(std::string_view text, const Places& places,
                                  const std::string& name) {
  const Span ours = places.plugins[places.our_plugin];
  if (places.our_plugin > 0)
    return with(text, {places.plugins[places.our_plugin - 1].end, ours.end}, "");
  if (places.plugins.size() > 1) return with(text, {ours.begin, places.plugins[1].begin}, "");
  return invalid_input(name +
                       " has no other plugin than nft-port-mapper: without it, it is no list");
}

}  // namespace

bool has_type(const json::Value& value, std::string_view type) {
  if (value.member("type").text() == type) return true;
  for (const json::Value below : value)
    if (has_type(below, type)) return true;
  return false;
}

Result<std::vector<std::string>> other_plugins(std::string_view text, const std::string& name) {
  const Result<json::Document> document = json::Document::parse(text, name);
  if (!document) return document.error();
  std::vector<std::string> types;
  for (const json::Value plugin : document->root().member("plugins")) {
    const json::Value type = plugin.member("type");
    if (!type.text().empty() && !is_either(type)) types.emplace_back(type.text());
  }
  return types;
}

Result<ListEdit> with_ours(std::string_view text, const std::string& name, Missing missing) {
  const Result<Places> places = places_of(text, name);
  if (!places) return places.error();
  if (!places->ours.empty() && !places->portmap.empty())
    return invalid_input(name +
                         " has entries of both types, nft-port-mapper and portmap, which publish"
                         " the same ports; remove that of portmap");
  if (!places->ours.empty()) return ListEdit{ListEdit::Change::none, std::string(text)};
  if (places->portmap.size() > 1) return too_many(name, places->portmap.size(), cni::kPortmapType);
  if (!places->portmap.empty())
    return ListEdit{ListEdit::Change::replaced, with(text, places->portmap.front(), quoted_type())};
  if (missing == Missing::refuse)
    return invalid_input(name +
                         " has no entry of the type portmap to replace; with --add"
                         " nft-port-mapper is put behind its last plugin");
  if (!places->nested.empty())
    return invalid_input(name + ": " + places->nested +
                         " already, and an entry behind it would publish the same ports; a plugin"
                         " in another one's configuration is to be replaced by hand");
  const Span last = places->plugins.back();
  const std::string entry = "," + std::string(indentation(text, last.begin)) +
                            "{ \"type\": " + quoted_type() +
                            ", \"capabilities\": { \"portMappings\": true } }";
  return ListEdit{ListEdit::Change::added, with(text, {last.end, last.end}, entry)};
}

Result<std::string> without_ours(std::string_view text, std::string_view original,
                                 const std::string& name, const std::string& record) {
  const Result<ListEdit> edit = with_ours(original, record, Missing::add);
  if (edit && edit->text == text) return std::string(original);
  const Result<Places> places = places_of(text, name);
  if (!places) return places.error();
  if (places->ours.empty()) return std::string(text);
  if (places->ours.size() > 1) return too_many(name, places->ours.size(), cni::kOurType);
  if (!edit) return edit.error();
  // Somebody put portmap back beside ours.
  if (edit->change == ListEdit::Change::added || !places->portmap.empty())
    return without_entry(text, *places, name);
  // As it was written there, or as everybody writes it.
  const Result<Places> before = places_of(original, record);
  const bool has_portmap = before && before->portmap.size() == 1;
  const Span was = has_portmap ? before->portmap.front() : Span{};
  return with(text, places->ours.front(),
              has_portmap ? original.substr(was.begin, was.end - was.begin) : "\"portmap\"");
}

}  // namespace portmapper::config
