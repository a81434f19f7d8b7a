// lib/app/metrics: figures as text for Prometheus and OpenMetrics.
#include <doctest/doctest.h>

#include "lib/app/metrics/exposition.hpp"
#include "lib/app/metrics/figures.hpp"

using namespace portmapper;
using namespace portmapper::metrics;

namespace {

PortFigures port(const char* address, Protocol protocol, int number, std::uint64_t connections) {
  return {{*IpAddress::parse(address), protocol, *Port::from(number)},
          {"web", "abc", "eth0"},
          connections};
}

std::string lines_of(const std::string& text, const std::string& name) {
  std::string lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at) + 1;
    const std::string line = text.substr(at, end - at);
    if (line.starts_with(name)) lines += line;
    at = end;
  }
  return lines;
}

}  // namespace

TEST_CASE("metrics: a gauge has its help and type, a counter no type, and the text its end") {
  Exposition text;
  text.gauge("ports", "Published ports.");
  text.sample({{"protocol", "tcp"}, {"state", "alive"}}, 3);
  text.sample({{"protocol", "udp"}, {"state", "alive"}}, 0);
  text.counter("repairs_total", "Repairs.");
  text.sample(18446744073709551615U);
  text.gauge("read_seconds", "How long.");
  text.seconds(0.0012346);
  CHECK(std::move(text).text() ==
        "# HELP ports Published ports.\n"
        "# TYPE ports gauge\n"
        "ports{protocol=\"tcp\",state=\"alive\"} 3\n"
        "ports{protocol=\"udp\",state=\"alive\"} 0\n"
        "# HELP repairs_total Repairs.\n"
        "repairs_total 18446744073709551615\n"
        "# HELP read_seconds How long.\n"
        "# TYPE read_seconds gauge\n"
        "read_seconds 0.001235\n"
        "# EOF\n");
}

TEST_CASE("metrics: what others named cannot end a label, a line or the text") {
  CHECK(label_value("web") == "web");
  CHECK(label_value("a\"} 1\n# EOF\n") == "a\\\"} 1?# EOF?");
  CHECK(label_value("C:\\n") == "C:\\\\n");
  CHECK(label_value("\xff\033[31m\xe2\x80\xae") == "??[31m?");
  CHECK(label_value("\xc3\xa4") == "\xc3\xa4");
}

TEST_CASE("metrics: totals are always there, and count what is published") {
  Figures figures{.version = "1.2.3", .has_table = true};
  figures.ports = {port("0.0.0.0", Protocol::tcp, 8080, 17), port("::", Protocol::tcp, 8080, 1),
                   port("192.0.2.1", Protocol::udp, 53, 0)};
  figures.standby = 2;
  figures.owners = {.alive = 3, .dead = 1, .unknown = 0};
  figures.findings = 5;
  figures.mendable = 4;
  figures.missing = 1;
  figures.unmasqueraded = 3;
  figures.seconds = 0.25;
  figures.time = 1700000000;
  const std::string text = format(figures, PerPort::no);
  std::string samples;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at) + 1;
    if (text[at] != '#') samples += text.substr(at, end - at);
    at = end;
  }
  CHECK(samples ==
        "nft_port_mapper_build_info{version=\"1.2.3\"} 1\n"
        "nft_port_mapper_table 1\n"
        "nft_port_mapper_ports{protocol=\"tcp\"} 2\n"
        "nft_port_mapper_ports{protocol=\"udp\"} 1\n"
        "nft_port_mapper_ports{protocol=\"sctp\"} 0\n"
        "nft_port_mapper_standby_ports 2\n"
        "nft_port_mapper_owners{state=\"alive\"} 3\n"
        "nft_port_mapper_owners{state=\"dead\"} 1\n"
        "nft_port_mapper_owners{state=\"unknown\"} 0\n"
        "nft_port_mapper_connections 18\n"
        "nft_port_mapper_findings 5\n"
        "nft_port_mapper_mendable_findings 4\n"
        "nft_port_mapper_missing_attachments 1\n"
        "nft_port_mapper_unmasqueraded_attachments 3\n"
        "nft_port_mapper_exposed_interfaces 0\n"
        "nft_port_mapper_read_seconds 0.250000\n"
        "nft_port_mapper_read_timestamp_seconds 1700000000\n");
}

TEST_CASE("metrics: a series for each port, and the watch's counters where there is one") {
  Figures figures;
  figures.ports = {port("0.0.0.0", Protocol::tcp, 8080, 17), port("::", Protocol::tcp, 8080, 1)};
  const std::string with = format(figures, PerPort::yes);
  CHECK(lines_of(with, "nft_port_mapper_port_connections_total") ==
        "nft_port_mapper_port_connections_total{protocol=\"tcp\",address=\"0.0.0.0\",port=\"8080\","
        "network=\"web\",container=\"abc\"} 17\n"
        "nft_port_mapper_port_connections_total{protocol=\"tcp\",address=\"::\",port=\"8080\","
        "network=\"web\",container=\"abc\"} 1\n");
  CHECK(lines_of(with, "nft_port_mapper_repairs_total") == "");
  figures.watch = WatchFigures{.repairs = 2, .lost_events = 1};
  const std::string of_watch = format(figures, PerPort::no);
  CHECK(lines_of(of_watch, "nft_port_mapper_port_connections_total") == "");
  CHECK(lines_of(of_watch, "nft_port_mapper_repairs_total") == "nft_port_mapper_repairs_total 2\n");
  CHECK(lines_of(of_watch, "nft_port_mapper_lost_events_total") ==
        "nft_port_mapper_lost_events_total 1\n");
}
