// The traffic matrix: who reaches a published port through which address, and whom the server sees.
//
// tests/kernel/traffic runs this and prints the table; TRAFFIC_TABLE names the file for it.
#include <doctest/doctest.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

#include "tests/support/cni_cache.hpp"
#include "tests/support/files.hpp"
#include "tests/support/runtime.hpp"
#include "tests/support/service.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

// A cell is the source address that the server saw, or why there was no answer. The table is the
// same for TCP and UDP, and with bridge netfilter on and off, but for ::1: with bridge netfilter the
// kernel drops the replies, so the host's ::1 is left to the host, which refuses.
//
//   any      the port is published on any address
//   address  the port is published on that address alone
//   other    the port is published on any other address of the table, but not on that one
//
// Of 127.0.0.1 and ::1 only the host can reach the host's; everybody else asks itself there.
constexpr const char* expected = R"(
port     from       192.0.2.1  192.0.2.11  10.22.0.1  127.0.0.1  2001:db8::1  fd00::1      ::1
any      client     192.0.2.2  192.0.2.2   192.0.2.2  refused    2001:db8::2  2001:db8::2  refused
any      host       192.0.2.1  192.0.2.1   10.22.0.1  10.22.0.1  2001:db8::1  fd00::1      fd00::1
any      itself     10.22.0.1  10.22.0.1   10.22.0.1  refused    fd00::1      fd00::1      refused
any      neighbour  10.22.0.1  10.22.0.1   10.22.0.1  refused    fd00::1      fd00::1      refused
any      elsewhere  10.23.0.2  10.23.0.2   10.23.0.2  refused    fd01::2      fd01::2      refused
address  client     192.0.2.2  192.0.2.2   192.0.2.2  refused    2001:db8::2  2001:db8::2  refused
address  host       192.0.2.1  192.0.2.1   10.22.0.1  10.22.0.1  2001:db8::1  fd00::1      fd00::1
address  itself     10.22.0.1  10.22.0.1   10.22.0.1  refused    fd00::1      fd00::1      refused
address  neighbour  10.22.0.1  10.22.0.1   10.22.0.1  refused    fd00::1      fd00::1      refused
address  elsewhere  10.23.0.2  10.23.0.2   10.23.0.2  refused    fd01::2      fd01::2      refused
other    client     refused    refused     refused    refused    refused      refused      refused
other    host       refused    refused     refused    refused    refused      refused      refused
other    itself     refused    refused     refused    refused    refused      refused      refused
other    neighbour  refused    refused     refused    refused    refused      refused      refused
other    elsewhere  refused    refused     refused    refused    refused      refused      refused
)";

using Cells = std::vector<std::string>;
using Table = std::vector<Cells>;  // the first row is the header

constexpr std::size_t first_address = 2;  // the columns before it are "port" and "from"
constexpr std::uint16_t any_port = 8080;
constexpr std::uint16_t first_port = 9000;  // of the ports published on one address

Table parse(const char* text) {
  Table table;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    Cells cells;
    for (std::string word; words >> word;) cells.push_back(word);
    if (!cells.empty()) table.push_back(cells);
  }
  return table;
}

std::string to_text(const Table& table) {
  std::string text = "\n";
  for (const Cells& row : table) {
    for (const std::string& cell : row) {
      text += cell;
      if (&cell != &row.back()) text.append(13 - std::min<std::size_t>(cell.size(), 12), ' ');
    }
    text += "\n";
  }
  return text;
}

// With bridge netfilter.
Table without_loopback6(Table table) {
  for (std::size_t column = 0; column < table[0].size(); ++column)
    for (Cells& row : table)
      if (table[0][column] == "::1" && row[column] == "fd00::1") row[column] = "refused";
  return table;
}

std::uint16_t port_of(std::size_t column) {
  return static_cast<std::uint16_t>(first_port + column);
}

// A datagram to a closed port is refused by ICMP, of which a host sends but a few a second.
void unlimited_refusals(const std::string& ns) {
  write_sysctl(ns, "net/ipv4/icmp_ratelimit", "0");
  write_sysctl(ns, "net/ipv4/icmp_msgs_per_sec", "100000");
  write_sysctl(ns, "net/ipv4/icmp_msgs_burst", "10000");
  write_sysctl(ns, "net/ipv6/icmp/ratelimit", "0");
}

struct Matrix {
  Lab lab;
  std::map<std::string, std::string> sources;
  // The first answer that is missing gets the time of a busy machine; then something is broken.
  static constexpr std::chrono::milliseconds impatience{250};
  mutable std::chrono::milliseconds patience{5000};

  Matrix() {
    unlimited_refusals(lab.host());
    lab.network("cni1", "10.23.0.1/16", "fd01::1/64");
    sources = {
        {"client", lab.client()},
        {"host", lab.host()},
        {"itself", lab.container("abc", "10.22.0.2/16", "fd00::2/64", {.hairpin = true})},
        {"neighbour", lab.container("def", "10.22.0.3/16", "fd00::3/64", {.hairpin = true})},
        {"elsewhere", lab.container("far", "10.23.0.2/16", "fd01::2/64", {.bridge = "cni1"})}};
  }

  [[nodiscard]] std::string publish(const Cells& header) const {
    Mappings mappings;
    for (const char* protocol : {"tcp", "udp"}) {
      mappings.push_back({any_port, 80, protocol});
      for (std::size_t column = first_address; column < header.size(); ++column)
        mappings.push_back({port_of(column), 80, protocol, header[column]});
    }
    return Runtime(lab).add("abc", mappings);
  }

  [[nodiscard]] std::string try_port(const std::string& from, Protocol protocol,
                                     const std::string& address, std::uint16_t port,
                                     bool answers) const {
    const auto timeout = answers ? patience : impatience;
    const std::string seen = probe(sources.at(from), protocol, address, port, {.timeout = timeout});
    if (answers && seen == "timeout") patience = impatience;
    return seen.starts_with("abc ") ? seen.substr(4) : seen;
  }

  [[nodiscard]] std::string cell(const Cells& header, const Cells& wanted, std::size_t column,
                                 Protocol protocol) const {
    const bool answers = wanted[column] != "timeout";
    const std::string& address = header[column];
    if (wanted[0] == "any") return try_port(wanted[1], protocol, address, any_port, answers);
    if (wanted[0] == "address")
      return try_port(wanted[1], protocol, address, port_of(column), answers);
    std::string all;
    for (std::size_t other = first_address; other < header.size(); ++other) {
      if (other == column) continue;
      const std::string one = try_port(wanted[1], protocol, address, port_of(other), answers);
      if (all.empty())
        all = one;
      else if (all != one)
        all += "/" + one;
    }
    return all;
  }

  [[nodiscard]] Table measure(const Table& wanted, Protocol protocol) const {
    Table table = wanted;
    for (std::size_t row = 1; row < table.size(); ++row)
      for (std::size_t column = first_address; column < table[row].size(); ++column)
        table[row][column] = cell(table[0], wanted[row], column, protocol);
    return table;
  }
};

std::string markdown_row(const Cells& cells) {
  std::string text = "|";
  for (const std::string& cell : cells) text += " " + cell + " |";
  return text + "\n";
}

// All tables in one, each row with its bridge netfilter and protocol in front.
class Markdown {
 public:
  void add(const std::string& bridge_netfilter, const std::string& protocol, const Table& table) {
    for (std::size_t row = 0; row < table.size(); ++row) {
      Cells cells = {row == 0 ? "bridge-nf" : bridge_netfilter, row == 0 ? "protocol" : protocol};
      cells.insert(cells.end(), table[row].begin(), table[row].end());
      if (row == 0 && !text_.empty()) continue;
      text_ += markdown_row(cells);
      if (row == 0) text_ += markdown_row(Cells(cells.size(), "---"));
    }
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// What the README shows between its two markers.
std::string table_of_readme() {
  const std::string text = read_file(GOLDEN "/../kernel/README.md");
  const std::string begin = "<!-- table: tests/kernel/traffic --write -->\n";
  const std::size_t from = text.find(begin) + begin.size();
  return text.substr(from, text.find("<!-- end of table -->") - from);
}

}  // namespace

TEST_CASE("traffic: the matrix of sources, host addresses, protocols and bridge netfilter") {
  const Table wanted = parse(expected);
  const Matrix matrix;
  REQUIRE(matrix.publish(wanted[0]) == done);
  const Service service(matrix.sources.at("itself"), "abc", 80);
  Markdown markdown;
  for (const bool bridge_netfilter : {false, true}) {
    matrix.lab.bridge_netfilter(bridge_netfilter);
    const Table all = bridge_netfilter ? without_loopback6(wanted) : wanted;
    ctl(matrix.lab, {"check", "--repair"});
    for (const Protocol protocol : {Protocol::tcp, Protocol::udp}) {
      CAPTURE(bridge_netfilter);
      CAPTURE(to_string(protocol));
      const Table measured = matrix.measure(all, protocol);
      CHECK(to_text(measured) == to_text(all));
      markdown.add(bridge_netfilter ? "1" : "0", std::string(to_string(protocol)), measured);
    }
  }
  if (const char* path = std::getenv("TRAFFIC_TABLE"))
    std::ofstream(path) << markdown.text();
  else
    CHECK(table_of_readme() == markdown.text());
}
