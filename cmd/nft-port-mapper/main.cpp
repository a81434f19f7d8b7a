// Reads the environment and stdin, calls lib/app, prints, exits.

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "lib/app/plugin/plugin.hpp"
#include "lib/base/plugin_note.hpp"
#include "lib/base/process_name.hpp"
#include "lib/base/read_all.hpp"
#include "lib/base/sanitise_stdfd.hpp"
#include "lib/base/write_all.hpp"

// nft-port-mapperctl looks for it (lib/host/own_plugin): the file may be called portmap.
[[gnu::used,
  gnu::section(".note.nft-port-mapper")]] alignas(4) static const portmapper::PluginNote kNote;

int main() {
  if (!portmapper::sanitise_stdfd()) return 1;
  portmapper::take_process_name(portmapper::kProcessName);
  (void)std::signal(SIGPIPE, SIG_IGN);  // a runtime that went away is EPIPE, and its ADD is undone
  const portmapper::app::Outcome outcome = portmapper::plugin::run_plugin(
      [](const char* name) { return std::getenv(name); },
      [] { return portmapper::read_all(STDIN_FILENO, "standard input"); });
  (void)portmapper::write_all(STDERR_FILENO, outcome.log);
  if (portmapper::write_all(STDOUT_FILENO, outcome.out)) return outcome.status;
  const portmapper::Error unprinted =
      portmapper::mapping_failed("cannot write", "standard output", errno);
  (void)portmapper::write_all(STDERR_FILENO, "nft-port-mapper: " + unprinted.message() + "\n");
  if (outcome.undo) (void)portmapper::write_all(STDERR_FILENO, outcome.undo());
  return 1;
}
