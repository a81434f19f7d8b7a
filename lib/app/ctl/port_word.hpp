// A port as the commands of the ctl take it: PORT or PORT/PROTOCOL.
//
//   const Result<PortWord> word = parse_port_word("8080/tcp");
//   if (word) use(word->protocol, word->port);
//
// Without a protocol it is TCP. Errors: invalid_input naming the word. Source: nft-port-mapperctl(8).
#pragma once

#include <string>

#include "lib/base/error.hpp"
#include "lib/base/port.hpp"

namespace portmapper::ctl {

struct PortWord {
  Protocol protocol;
  Port port;
};

Result<PortWord> parse_port_word(const std::string& word);
std::string to_string(const PortWord& word);  // "8080/tcp"

}  // namespace portmapper::ctl
