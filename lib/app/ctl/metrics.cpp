#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/measure.hpp"

namespace portmapper::ctl {

app::Outcome metrics(const Arguments& arguments) {
  const std::optional<std::string> file = arguments.value("--output");
  if (file && file->empty()) return wrong_usage("--output names no file");
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return could_not_look(netlink.error());
  const Result<metrics::Figures> figures = measure(*netlink);
  if (!figures) return could_not_look(figures.error());
  app::Outcome outcome;
  outcome.out = metrics::format(
      *figures, arguments.has("--totals") ? metrics::PerPort::no : metrics::PerPort::yes);
  if (!file || *file == "-") return outcome;
  if (const Status written = write_figures(*file, outcome.out); !written)
    return failure(written.error());
  outcome.out.clear();
  return outcome;
}

}  // namespace portmapper::ctl
