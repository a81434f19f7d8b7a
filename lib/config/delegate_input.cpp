#include "lib/config/delegate_input.hpp"

#include "lib/json/writer.hpp"

namespace portmapper::config {
namespace {

// A member of our document that the delegate gets as well. A null of cni.dev/* has a meaning: it is
// how libcni writes an empty list.
bool is_handed_on(const json::Value& member) {
  if (member.kind() == json::Kind::missing) return false;
  const std::string_view key = member.key();
  return key.starts_with("cni.dev/") ||
         (member.present() && (key == "args" || key == "runtimeConfig"));
}

bool is_replaced(std::string_view key, const json::Value& root) {
  return key == "name" || key == "cniVersion" || key == "prevResult" ||
         is_handed_on(root.member(key));
}

}  // namespace

std::string delegate_input(const json::Value& root, std::string_view name,
                           std::string_view cni_version) {
  json::Writer out;
  out.begin_object().member("cniVersion", cni_version).member("name", name);
  for (const json::Value member : root.member("delegate"))
    if (!is_replaced(member.key(), root)) out.key(member.key()).raw(member.raw());
  for (const json::Value member : root)
    if (is_handed_on(member)) out.key(member.key()).raw(member.raw());
  out.end_object();
  return std::move(out).text();
}

std::string with_prev_result(std::string_view input, std::string_view prev_result) {
  std::string text(input.substr(0, input.rfind('}')));
  text += ",\"prevResult\":";
  text += prev_result;
  text += '}';
  return text;
}

}  // namespace portmapper::config
