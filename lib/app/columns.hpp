// Table: rows of text, aligned.
//
//   format_columns({{"PROTO", "HOST"}, {"tcp", "0.0.0.0:8080"}});
//   // PROTO  HOST
//   // tcp    0.0.0.0:8080
//
// Control characters are replaced by '?', so that foreign text cannot control a terminal. The last
// column is not padded. Errors: none. Does not promise: widths of wide characters.
#pragma once

#include <string>
#include <vector>

namespace portmapper::app {

using Row = std::vector<std::string>;

std::string format_columns(std::vector<Row> rows);

}  // namespace portmapper::app
