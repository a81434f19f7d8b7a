#include "lib/config/lint/network.hpp"

#include <algorithm>

#include "lib/cni/plugin_input.hpp"

namespace portmapper::lint {

void set_place(std::string_view text, std::size_t offset, Finding& finding) {
  const std::string_view before = text.substr(0, offset);
  const std::size_t feed = before.rfind('\n');
  finding.line = static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n')) + 1;
  finding.column = before.size() - (feed == std::string_view::npos ? 0 : feed + 1) + 1;
}

Network::Network(const Source& source, const json::Value& root, std::vector<Finding>& findings)
    : source_(source), root_(root), is_list_(cni::is_list(root)), findings_(findings) {
  if (!is_list_) plugins_.push_back(root);
  for (const json::Value plugin : root.member("plugins"))
    if (is_list_) plugins_.push_back(plugin);
}

void Network::add(const json::Value& where, Finding finding) {
  finding.file = source_.name;
  finding.path = where.path();
  set_place(source_.text, where.offset(), finding);
  findings_.push_back(std::move(finding));
}

void Network::problem(const json::Value& where, std::string_view rule, std::string what,
                      std::string why, std::string fix) {
  add(where, {.level = Finding::Level::problem,
              .rule = rule,
              .what = std::move(what),
              .why = std::move(why),
              .fix = std::move(fix)});
}

void Network::note(const json::Value& where, std::string_view rule, std::string what,
                   std::string why, std::string fix) {
  add(where, {.level = Finding::Level::note,
              .rule = rule,
              .what = std::move(what),
              .why = std::move(why),
              .fix = std::move(fix)});
}

std::string path_of(const json::Value& value) {
  std::string path = value.path();
  return path.empty() ? "the configuration" : path;
}

}  // namespace portmapper::lint
