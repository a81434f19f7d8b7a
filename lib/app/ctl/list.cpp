#include <algorithm>
#include <charconv>

#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/facts.hpp"
#include "lib/app/ctl/listed_processes.hpp"
#include "lib/app/ctl/port_table.hpp"
#include "lib/app/ctl/service.hpp"
#include "lib/base/counted.hpp"
#include "lib/base/escape.hpp"

namespace portmapper::ctl {
namespace {

struct Filter {
  std::optional<std::string> network{};
  std::optional<std::string> container{};
  std::optional<Service> service{};
  std::optional<nft::Liveness> state{};

  [[nodiscard]] bool is_set() const { return network || container || service || state; }
};

// What the options ask for.
struct Wish {
  Filter filter{};
  View view{};
  bool as_json = false;
  const Column* sort = nullptr;
  bool descending = false;
  std::chrono::milliseconds watch{0};
};

constexpr std::array kStates = {nft::Liveness::alive, nft::Liveness::dead, nft::Liveness::unknown};

Error unknown_value(const std::string& option, const std::string& value, const std::string& rule,
                    std::span<const std::string_view> names) {
  return invalid_input(option + ": '" + printable(value) + "' is not " + rule +
                       did_you_mean(value, names));
}

Result<nft::Liveness> parse_state(const std::string& value) {
  std::vector<std::string_view> names;
  for (const nft::Liveness state : kStates) {
    if (to_string(state) == value) return state;
    names.push_back(to_string(state));
  }
  return unknown_value("--state", value, "alive, dead or unknown", names);
}

Result<const Column*> parse_column_of(const std::string& option, const std::string& value) {
  const std::vector<std::string_view> names = column_names();
  const Column* const column = parse_column(value);
  if (column != nullptr) return column;
  return unknown_value(option, value, "a column; list --help names them", names);
}

Result<Columns> parse_columns(const std::string& value) {
  Columns columns;
  for (std::size_t at = 0; at <= value.size();) {
    const std::size_t end = std::min(value.find(',', at), value.size());
    const Result<const Column*> column = parse_column_of("--columns", value.substr(at, end - at));
    if (!column) return column.error();
    columns.push_back(*column);
    at = end + 1;
  }
  return columns;
}

// A tenth of a second to a day.
Result<std::chrono::milliseconds> parse_seconds(const std::string& value) {
  double seconds = 0;
  const auto [end, error] =
      std::from_chars(value.data(), value.data() + value.size(), seconds, std::chars_format::fixed);
  if (error != std::errc() || end != value.data() + value.size() || !(seconds >= 0.1) ||
      seconds > 86400)
    return invalid_input("--watch: '" + printable(value) +
                         "' is not a number of seconds from 0.1 to 86400");
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

Status take_output(const Arguments& arguments, Wish& wish) {
  constexpr std::array<std::string_view, 3> kFormats = {"table", "wide", "json"};
  const std::string format = arguments.value("--output").value_or("table");
  if (std::find(kFormats.begin(), kFormats.end(), format) == kFormats.end())
    return unknown_value("--output", format, "table, wide or json", kFormats);
  wish.as_json = format == "json" || arguments.has("--json");
  View& view = wish.view;
  view.screen = arguments.screen;
  view.has_whole_ids = arguments.has("--no-trunc");
  view.is_cut = format == "table" && !view.has_whole_ids;
  if (format == "wide") view.columns = wide_columns();
  if (arguments.has("--quiet")) {
    view.columns = {parse_column("container")};
    view.has_headings = false;
    view.has_whole_ids = view.once = true;
    view.is_cut = false;
  }
  const auto names = arguments.value("--columns");
  if (!names) return {};
  Result<Columns> columns = parse_columns(*names);
  if (!columns) return columns.error();
  view.columns = std::move(*columns);
  view.is_cut = view.once = false;
  return {};
}

Status take_filter(const Arguments& arguments, Filter& filter) {
  filter.network = arguments.value("--network");
  filter.container = arguments.value("--container");
  if (const auto value = arguments.value("--port")) {
    const Result<Service> service = parse_service(*value);
    if (!service) return service.error();
    filter.service = *service;
  }
  if (const auto value = arguments.value("--state")) {
    const Result<nft::Liveness> state = parse_state(*value);
    if (!state) return state.error();
    filter.state = *state;
  }
  return {};
}

Result<Wish> parse_wish(const Arguments& arguments) {
  Wish wish;
  if (const Status taken = take_output(arguments, wish); !taken) return taken.error();
  if (const Status taken = take_filter(arguments, wish.filter); !taken) return taken.error();
  if (const auto value = arguments.value("--sort")) {
    wish.descending = value->starts_with('-');
    const Result<const Column*> column =
        parse_column_of("--sort", value->substr(wish.descending ? 1 : 0));
    if (!column) return column.error();
    wish.sort = *column;
  }
  if (const auto value = arguments.value("--watch")) {
    const Result<std::chrono::milliseconds> interval = parse_seconds(*value);
    if (!interval) return interval.error();
    wish.watch = *interval;
  }
  return wish;
}

bool is_wanted(const ListedPort& port, const Filter& filter) {
  return (!filter.network || is_of_network(port, *filter.network)) &&
         (!filter.container || is_of_container(port, *filter.container)) &&
         (!filter.service || answers(*filter.service, port.published)) &&
         (!filter.state || port.owner == *filter.state);
}

// Which part of the filter nothing on this host is of; a name that was misspelled is told so.
std::string nothing_found(const std::vector<ListedPort>& ports, const Filter& filter) {
  const auto is_any = [&ports](const auto& is_one) {
    return std::any_of(ports.begin(), ports.end(), is_one);
  };
  if (filter.network &&
      !is_any([&](const ListedPort& p) { return is_of_network(p, *filter.network); })) {
    std::vector<std::string_view> names;
    names.reserve(ports.size());
    for (const ListedPort& port : ports) names.push_back(port.attachment.network);
    return "no port is published by a network '" + *filter.network + "'" +
           did_you_mean(*filter.network, names);
  }
  if (filter.container &&
      !is_any([&](const ListedPort& p) { return is_of_container(p, *filter.container); }))
    return "no port is published by a container whose ID begins with '" + *filter.container + "'";
  if (filter.service &&
      !is_any([&](const ListedPort& p) { return answers(*filter.service, p.published); }))
    return "nobody publishes port " + to_string(*filter.service);
  if (filter.state && !is_any([&](const ListedPort& p) { return p.owner == *filter.state; }))
    return "no port is of a container that is " + std::string(to_string(*filter.state));
  return "no published port is all of that";
}

// What the usual columns do not show.
void note_rest(const std::vector<ListedPort>& ports, std::vector<std::string>& notes) {
  const auto count = [&ports](const auto& is_one) {
    const auto number = std::count_if(ports.begin(), ports.end(), is_one);
    return counted(static_cast<std::size_t>(number), "port");
  };
  const auto is_absent = [](const ListedPort& port) { return !port.is_here; };
  const auto meets = [](const ListedPort& port) { return !port.processes.empty(); };
  constexpr char kWhich[] = "; list -o wide shows which";
  if (std::any_of(ports.begin(), ports.end(), is_absent))
    notes.push_back("no interface of this host has the address of " + count(is_absent) + kWhich);
  if (std::any_of(ports.begin(), ports.end(), meets))
    notes.push_back("processes of the host listen where containers publish " + count(meets) +
                    kWhich);
}

app::Outcome show(Transport& transport, const Wish& wish) {
  Result<std::vector<ListedPort>> ports = list_ports(transport);
  if (!ports) return could_not_look(ports.error());
  std::vector<ListedPort> wanted;
  std::copy_if(ports->begin(), ports->end(), std::back_inserter(wanted),
               [&wish](const ListedPort& port) { return is_wanted(port, wish.filter); });
  app::Outcome outcome;
  std::vector<std::string> notes;
  if (wanted.empty() && wish.filter.is_set()) {
    outcome.status = kProblem;
    notes.push_back(nothing_found(*ports, wish.filter));
  }
  // The ports are what was asked for, and are shown without.
  if (const Status found = find_host_processes(transport, wanted); !found)
    notes.push_back(found.error().message());
  if (wish.sort != nullptr) sort_ports(wanted, *wish.sort, wish.descending);
  const bool is_usual = !wish.as_json && wish.view.columns == default_columns();
  if (is_usual) note_rest(wanted, notes);
  outcome.out = wish.as_json ? format_json(wanted) : format_table(wanted, wish.view);
  outcome.log = log_lines(notes);
  outcome.watch = wish.watch;
  return outcome;
}

}  // namespace

app::Outcome list(const Arguments& arguments) {
  const Result<Wish> wish = parse_wish(arguments);
  if (!wish) return wrong_usage(wish.error().message());
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return could_not_look(netlink.error());
  return show(*netlink, *wish);
}

}  // namespace portmapper::ctl
