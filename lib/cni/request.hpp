// Request: the CNI_* environment of one call, checked by the spec's rules.
//
//   Result<Request> request = read_request([](const char* name) { return getenv(name); });
//   request->command == Command::add;
//
// No I/O: the environment comes in as a function. Errors: invalid_input that names every variable
// that is missing or wrong, its value and what would be right; unsupported_command for a
// CNI_COMMAND that CNI does not have. Does not promise: that CNI_NETNS exists.
// Source: CNI SPEC.md section 2 "Parameters" and section 1 for the names.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "lib/base/attachment.hpp"
#include "lib/base/error.hpp"

namespace portmapper::cni {

enum class Command { add, del, check, gc, status, version };

struct Request {
  Command command = Command::version;
  std::string container_id;  // empty for GC, STATUS and VERSION
  std::string netns;         // CNI_NETNS; may be empty on DEL
  std::string ifname;
  std::string path;  // CNI_PATH
  Pod pod{};         // as CNI_ARGS of an ADD names it
};

using Environment = std::function<const char*(const char* name)>;

Result<Request> read_request(const Environment& environment);

std::string_view to_string(Command command);  // "ADD"

// The spec's names: a letter or digit, then letters, digits, '_', '.', '-'.
bool is_cni_name(std::string_view name);
// 1 to 15 bytes, not "." or "..", without '/', ':', white space and control characters, as the spec
// has it; in UTF-8; and without '"', which ends a comment in a listing of nft, whatever is before
// it.
bool is_interface_name(std::string_view name);

}  // namespace portmapper::cni
