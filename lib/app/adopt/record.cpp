#include "lib/app/adopt/record.hpp"

#include <cerrno>

#include "lib/base/base64.hpp"
#include "lib/cni/plugin_input.hpp"
#include "lib/config/list_edit.hpp"
#include "lib/host/exchange_file.hpp"
#include "lib/json/document.hpp"

namespace portmapper::adopt {
namespace {

constexpr std::size_t kMostBytesOfRecord = std::size_t{32} << 20;

}  // namespace

Result<std::string> naming_ours(std::string_view record, const std::string& path) {
  const Result<json::Document> document = json::Document::parse(record, path);
  if (!document) return document.error();
  const json::Value config = document->root().member("config");
  const std::optional<std::string> text = decode_base64(config.text());
  if (!text) return invalid_input(path + ": config is not a configuration in base64");
  const std::string name = "the configuration in " + path;
  Result<config::ListEdit> edit = config::with_ours(*text, name, config::Missing::refuse);
  if (!edit) return edit.error();
  const Result<json::Document> list = json::Document::parse(edit->text, name);
  if (!list) return list.error();
  const json::Value backend = cni::find_plugin(list->root(), cni::kOurType).member("backend");
  if (backend.present() && backend.text() != "nftables")
    edit->text.replace(backend.offset(), backend.raw().size(), "\"nftables\"");
  return std::string(record).replace(config.offset(), config.raw().size(),
                                     '"' + encode_base64(edit->text) + '"');
}

Result<bool> RecordChange::make(const std::string& path, const host::FileState& state) {
  const std::size_t slash = path.rfind('/');
  const Result<host::Directory> directory = host::Directory::open(path.substr(0, slash));
  if (!directory) return directory.error();
  Result<std::string> text = directory->read(path.substr(slash + 1), kMostBytesOfRecord);
  if (!text && text.error().error_number == ENOENT) return false;
  if (!text) return text.error();
  const Result<std::string> changed = naming_ours(*text, path);
  if (!changed) return changed.error();
  if (*changed == *text) return true;  // it names ours already
  const auto done = host::exchange_file(path, state, *changed);
  if (!done) return done.error();
  if (!*done) return false;
  path_ = path;
  before_ = *std::move(text);
  changed_ = **done;
  return true;
}

Status RecordChange::undo() {
  if (path_.empty()) return {};
  const auto done = host::exchange_file(path_, changed_, before_);
  return done ? Status() : done.error();
}

}  // namespace portmapper::adopt
