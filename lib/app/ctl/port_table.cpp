#include "lib/app/ctl/port_table.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <tuple>

#include "lib/app/columns.hpp"

namespace portmapper::ctl {

struct Column {
  std::string_view name;
  std::string (*text)(const ListedPort& port);
  bool (*comes_before)(const ListedPort& a, const ListedPort& b) = nullptr;  // by the text: null
  std::size_t least = 0;  // width; 0: it is never cut
};

namespace {

constexpr char kUnknown[] = "-";

std::string or_unknown(const std::string& text) {
  return text.empty() ? kUnknown : text;
}

std::string host_of(const ListedPort& port) {
  const std::string host = to_string(port.published);
  return host.substr(0, host.rfind('/'));
}

std::string endpoint_of(const ListedPort& port) {
  return port.endpoint ? to_string(*port.endpoint) : "missing";
}

std::string connections_of(const ListedPort& port) {
  return port.standby ? "standby" : std::to_string(port.connections);
}

std::string service_of(const ListedPort& port) {
  return std::to_string(port.published.port.value()) + "/" +
         std::string(to_string(port.published.protocol));
}

// "hides nginx (812) on 0.0.0.0:8080, dnsmasq (7) keeps 10.22.0.1:8080"
std::string processes_of(const ListedPort& port) {
  std::string text;
  for (const app::HostProcess& process : port.processes) {
    const host::Listener& listener = process.listener;
    const std::string who = listener.pid == 0
                                ? "a process that cannot be seen here"
                                : listener.process + " (" + std::to_string(listener.pid) + ")";
    std::string place = app::place_of(listener);
    place.resize(place.rfind('/'));
    if (!text.empty()) text += ", ";
    text += process.is_hidden ? "hides " + who + " on " + place : who + " keeps " + place;
  }
  return or_unknown(text);
}

template <auto Key>
bool by(const ListedPort& a, const ListedPort& b) {
  return Key(a) < Key(b);
}

auto host_key(const ListedPort& port) {
  return std::tuple(port.published.address, port.published.port, port.published.protocol);
}
auto connections_key(const ListedPort& port) {
  return std::pair(!port.standby, port.connections);
}
auto service_key(const ListedPort& port) {
  return std::pair(port.published.port, port.published.protocol);
}

// In the order of `list -o wide`.
constexpr std::array kColumns = {
    Column{"proto",
           [](const ListedPort& p) { return std::string(to_string(p.published.protocol)); }},
    Column{"host", host_of, by<host_key>, 14},
    Column{"endpoint", endpoint_of,
           [](const ListedPort& a, const ListedPort& b) { return a.endpoint < b.endpoint; }, 14},
    Column{"container", [](const ListedPort& p) { return p.attachment.container_id; }, nullptr, 9},
    Column{"network", [](const ListedPort& p) { return p.attachment.network; }, nullptr, 7},
    Column{"connections", connections_of, by<connections_key>},
    Column{"state", [](const ListedPort& p) { return std::string(to_string(p.owner)); }},
    Column{"interface", [](const ListedPort& p) { return p.attachment.ifname; }},
    Column{"chain", [](const ListedPort& p) { return or_unknown(p.chain); }},
    Column{"namespace", [](const ListedPort& p) { return or_unknown(p.pod.space); }},
    Column{"pod", [](const ListedPort& p) { return or_unknown(p.pod.name); }},
    Column{"here", [](const ListedPort& p) { return std::string(p.is_here ? "yes" : "no"); }},
    Column{"processes", processes_of},
    Column{"port", service_of, by<service_key>},
};
constexpr std::size_t kDefault = 7;
constexpr std::size_t kWide = kColumns.size() - 1;  // host and proto tell the port

Columns first_columns(std::size_t count) {
  Columns columns;
  for (std::size_t i = 0; i < count; ++i) columns.push_back(&kColumns[i]);
  return columns;
}

bool is(const Column* column, std::string_view name) {
  return column->name == name;
}

std::size_t common_length(const std::string& a, const std::string& b) {
  const auto [end, other] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<std::size_t>(end - a.begin());
}

// How many characters distinguish all container IDs; at least 12, as runtimes print them.
std::size_t unique_length(const std::vector<ListedPort>& ports) {
  std::set<std::string> ids;
  for (const ListedPort& port : ports) ids.insert(port.attachment.container_id);
  std::size_t length = 12;
  const std::string* previous = nullptr;
  for (const std::string& id : ids) {  // in order: only neighbours can share the most
    if (previous != nullptr) length = std::max(length, common_length(*previous, id) + 1);
    previous = &id;
  }
  return length;
}

app::Colour colour_of(nft::Liveness liveness) {
  switch (liveness) {
    case nft::Liveness::alive:
      return app::Colour::green;
    case nft::Liveness::dead:
      return app::Colour::red;
    case nft::Liveness::unknown:
      break;
  }
  return app::Colour::yellow;
}

app::Cell cell_of(const Column* column, const ListedPort& port, std::size_t id_length,
                  bool has_colours) {
  std::string text = column->text(port);
  if (is(column, "container")) text.resize(std::min(text.size(), id_length));
  const bool is_painted = has_colours && is(column, "state");
  return {std::move(text), is_painted ? colour_of(port.owner) : app::Colour::none};
}

app::Row headings_of(const Columns& columns) {
  app::Row row;
  for (const Column* column : columns) {
    std::string name(column->name);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return static_cast<char>(c - 'a' + 'A'); });
    row.emplace_back(std::move(name));
  }
  return row;
}

// Names give way before addresses, and those as far as IPv4 ones are long before names become
// hard to read.
app::Fit fit_of(const View& view) {
  struct Step {
    std::string_view name;
    std::size_t least;
  };
  constexpr std::array kFirst = {Step{"network", 15}, Step{"container", 15}, Step{"endpoint", 21},
                                 Step{"host", 21},    Step{"network", 10},   Step{"container", 12},
                                 Step{"network", 7}};
  app::Fit fit{.width = view.screen.width, .cuts = {}};
  for (const Step& step : kFirst)
    for (std::size_t i = 0; i < view.columns.size(); ++i)
      if (is(view.columns[i], step.name)) fit.cuts.push_back({i, step.least});
  for (std::size_t i = 0; i < view.columns.size(); ++i)
    if (view.columns[i]->least != 0) fit.cuts.push_back({i, view.columns[i]->least});
  return fit;
}

}  // namespace

Columns default_columns() {
  return first_columns(kDefault);
}

Columns wide_columns() {
  return first_columns(kWide);
}

std::vector<std::string_view> column_names() {
  std::vector<std::string_view> names;
  names.reserve(std::size(kColumns));
  for (const Column& column : kColumns) names.push_back(column.name);
  return names;
}

const Column* parse_column(std::string_view name) {
  const auto* found = std::find_if(kColumns.begin(), kColumns.end(),
                                   [name](const Column& column) { return column.name == name; });
  return found == kColumns.end() ? nullptr : found;
}

void sort_ports(std::vector<ListedPort>& ports, const Column& by_column, bool descending) {
  const auto comes_before = [&by_column](const ListedPort& a, const ListedPort& b) {
    return by_column.comes_before != nullptr ? by_column.comes_before(a, b)
                                             : by_column.text(a) < by_column.text(b);
  };
  std::stable_sort(ports.begin(), ports.end(), [&](const ListedPort& a, const ListedPort& b) {
    return descending ? comes_before(b, a) : comes_before(a, b);
  });
}

std::string format_table(const std::vector<ListedPort>& ports, const View& view) {
  const std::size_t length = view.has_whole_ids ? std::string::npos : unique_length(ports);
  std::vector<app::Row> rows;
  if (view.has_headings) rows.push_back(headings_of(view.columns));
  std::set<std::string> seen;
  for (const ListedPort& port : ports) {
    app::Row row;
    std::string line;
    for (const Column* column : view.columns) {
      row.push_back(cell_of(column, port, length, view.screen.has_colours));
      line.append(row.back().text).append(1, '\0');
    }
    if (!view.once || seen.insert(std::move(line)).second) rows.push_back(std::move(row));
  }
  return app::format_columns(std::move(rows), view.is_cut ? fit_of(view) : app::Fit{});
}

}  // namespace portmapper::ctl
