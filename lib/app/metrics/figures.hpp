// Figures: what is known of this host's published ports at one time, as numbers.
//
//   Figures figures;
//   figures.ports.push_back({published, attachment, 17});  // 17 new connections
//   use(format(figures, PerPort::yes));  // "# HELP nft_port_mapper_build_info ..."
//
// The names of the metrics stay; later versions may add some. As many series as there are ports come
// with PerPort::yes, about a dozen without. A port's counter begins anew when the port is published
// again, as the kernel's does. Times are seconds, since 1970 where it is a moment. Errors: none.
// Source: packaging/doc/monitoring.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/attachment.hpp"
#include "nft/published_port.hpp"

namespace portmapper::metrics {

struct PortFigures {
  nft::PublishedPort published;
  Attachment attachment;
  std::uint64_t connections = 0;
};

struct OwnerFigures {
  std::size_t alive = 0;
  std::size_t dead = 0;
  std::size_t unknown = 0;
};

// Of the watch alone.
struct WatchFigures {
  std::uint64_t repairs = 0;
  std::uint64_t lost_events = 0;  // how often the kernel's messages were more than the socket takes
};

struct Figures {
  std::string version{};
  bool has_table = false;
  std::vector<PortFigures> ports{};
  std::size_t standby = 0;        // ports that an attachment stands by for
  OwnerFigures owners{};          // attachments
  std::size_t findings = 0;       // of check
  std::size_t mendable = 0;       // of these
  std::size_t missing = 0;        // of these: living attachments whose ports are not all published
  std::size_t unmasqueraded = 0;  // of these: living attachments that are not masqueraded
  std::size_t exposed = 0;        // interfaces
  double seconds = 0;             // that reading took
  std::int64_t time = 0;          // when it was read
  std::optional<WatchFigures> watch{};
};

enum class PerPort { no, yes };
std::string format(const Figures& figures, PerPort per_port);

}  // namespace portmapper::metrics
