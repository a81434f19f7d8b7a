// The document that the delegate gets on stdin.
//
//   const std::string input = delegate_input(root, "web", "1.0.0");  // without prevResult
//   with_prev_result(input, *conf.prev_result);                      // for CHECK and DEL
//
// It is the object under `delegate`, each member byte for byte as it came in, but for the members
// that are the call's and not the delegate's own: name, cniVersion, and, where our document has
// them, args, runtimeConfig and the cni.dev/* keys. A prevResult inside the delegate's object is
// dropped: it would not be this call's. Errors: none, the document is checked before. Does not
// promise: the white space between members. Source: Mesos' cni.md (port mapper); CNI SPEC.md
// section 4 "Execution of delegated plugins".
#pragma once

#include <string>
#include <string_view>

#include "lib/json/document.hpp"

namespace portmapper::config {

std::string delegate_input(const json::Value& root, std::string_view name,
                           std::string_view cni_version);

// `input` is what delegate_input returned, `prev_result` JSON.
std::string with_prev_result(std::string_view input, std::string_view prev_result);

}  // namespace portmapper::config
