#include <unistd.h>

#include <csignal>
#include <memory>

#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/watching.hpp"

namespace portmapper::ctl {
namespace {

app::Outcome go_on(const std::shared_ptr<Watching>& watching) {
  Watching::Part part = watching->go_on();
  if (!part.is_last) part.outcome.next = [watching] { return go_on(watching); };
  return std::move(part.outcome);
}

// Who reads our lines may go, and a service has no terminal that could: then a SIGHUP is somebody's wish
// that it reads its configuration, and there is none.
void outlive_others() {
  (void)std::signal(SIGPIPE, SIG_IGN);
  if (isatty(STDIN_FILENO) == 0) (void)std::signal(SIGHUP, SIG_IGN);
}

}  // namespace

app::Outcome watch(const Arguments& arguments) {
  WatchWish wish{.metrics_file = arguments.value("--metrics")};
  if (wish.metrics_file && wish.metrics_file->empty())
    return wrong_usage("--metrics names no file");
  if (arguments.has("--totals")) wish.per_port = metrics::PerPort::no;
  if (arguments.has("--totals") && !wish.metrics_file)
    return wrong_usage("watch: --totals needs --metrics FILE");
  if (wish.metrics_file == "-")
    return wrong_usage("watch: --metrics takes a file that it can replace, not standard output");
  const bool writes = wish.metrics_file.has_value();
  outlive_others();
  Result<std::unique_ptr<Watching>> begun = Watching::begin(std::move(wish));
  if (!begun) return could_not_look(begun.error());
  const std::shared_ptr<Watching> watching = std::move(*begun);
  app::Outcome outcome;
  outcome.log = log_lines({"watching table inet nft-port-mapper"});
  if (writes) outcome.log += watching->keep_metrics();  // repairs do not depend on a file
  outcome.next = [watching] { return go_on(watching); };
  return outcome;
}

}  // namespace portmapper::ctl
