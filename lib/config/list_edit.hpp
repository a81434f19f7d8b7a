// List edit: nft-port-mapper put into somebody's network configuration list, and taken out again.
//
//   const Result<ListEdit> edit = with_ours(text, "10-flannel.conflist", Missing::refuse);
//   if (edit && edit->change == ListEdit::Change::replaced) use(edit->text);
//   const Result<std::string> back =
//       without_ours(edit->text, text, "10-flannel.conflist", ".10-flannel.conflist.nft-port-mapper");  // text
//   use(has_type(json::Value(), "portmap"));  // at any depth: Multus has whole networks in its own
//
// Pure functions of texts. Of the list only what has to change does: where it has an entry of the type
// portmap, the value of `type`; otherwise, if asked, an entry is added behind the last one, with the white
// space that stands before that. Order, white space, escapes and keys that nobody knows stay byte for byte:
// simdjson says where a value stands, nothing is printed anew. portmap's keys mean the same to ours, or
// nothing. Both in one list would publish the same ports, so that is refused, and so is an added entry where
// a plugin calls the one or the other itself. without_ours gives the original where nothing else changed since;
// otherwise it undoes its own part in what is there now: an entry goes where portmap has come back beside it.
// Errors: invalid_input that names the list, or the record of the original, and what would be right. Does not
// promise: anything of a single configuration, which is no list. Source: CNI SPEC.md section 1; portmap's README.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/json/document.hpp"

namespace portmapper::config {

// What becomes of a list without portmap.
enum class Missing : std::uint8_t { refuse, add };

struct ListEdit {
  enum class Change : std::uint8_t { none, replaced, added };
  Change change = Change::none;  // none: it names ours already
  std::string text;              // the whole list
};

// `name` stands for the list in errors.
Result<ListEdit> with_ours(std::string_view text, const std::string& name, Missing missing);

// The list that is there now, which with_ours once made of `original`, without ours. Where ours is not in it
// any more, it stays as it is. `record` stands for the original in errors.
Result<std::string> without_ours(std::string_view text, std::string_view original,
                                 const std::string& name, const std::string& record);

// The types of the list's plugins that are neither ours nor portmap.
Result<std::vector<std::string>> other_plugins(std::string_view text, const std::string& name);

// Whether a configuration has a plugin of this type, at any depth.
bool has_type(const json::Value& value, std::string_view type);

}  // namespace portmapper::config
