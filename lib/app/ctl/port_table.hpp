// Port table: published ports as lines of text.
//
//   const Result<std::vector<ListedPort>> ports = list_ports(transport);
//   format_table(*ports, {});  // "PROTO  HOST  ENDPOINT ...", a line for each port
//   format_table(*ports, {.columns = {parse_column("pod"), parse_column("host")}});
//
// The columns have the names that operators give in options, and the same in capitals as headings. What
// is not known is "-", so a line has a word for each column but the last. Sorted as numbers and
// addresses are, not as their text. Errors: none. Does not promise: that what is cut can be told apart.
// Source: packaging/man/nft-port-mapperctl.8.scd, "list".
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/app/ctl/listing.hpp"
#include "lib/app/ctl/options.hpp"

namespace portmapper::ctl {

struct Column;  // a row of a constant table, compared by its address
using Columns = std::vector<const Column*>;

Columns default_columns();
Columns wide_columns();
std::vector<std::string_view> column_names();
const Column* parse_column(std::string_view name);  // null: there is none of that name

struct View {
  Columns columns = default_columns();
  bool has_headings = true;
  bool is_cut = true;          // to the screen's width
  bool has_whole_ids = false;  // or as much of container IDs as is unique, 12 characters at least
  bool once = false;           // of equal lines only the first
  Screen screen{};
};

std::string format_table(const std::vector<ListedPort>& ports, const View& view);
void sort_ports(std::vector<ListedPort>& ports, const Column& by, bool descending);

}  // namespace portmapper::ctl
