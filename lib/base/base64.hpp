// base64, as Go's encoding/json writes byte strings.
//
//   decode_base64("eyJuYW1lIjoid2ViIn0=");  // {"name":"web"}
//   encode_base64(R"({"name":"web"})");     // eyJuYW1lIjoid2ViIn0=
//
// The standard alphabet with padding, and nothing else: no white space, no missing padding, no bits
// behind the last byte, so that one text has one form. Errors: nothing for any other text. Source:
// RFC 4648 section 4.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace portmapper {

std::optional<std::string> decode_base64(std::string_view text);
std::string encode_base64(std::string_view bytes);

}  // namespace portmapper
