#include "lib/delegate/runner.hpp"

#include <sys/wait.h>

#include <cstring>
#include <string>
#include <utility>

#include "lib/base/libc.hpp"
#include "lib/delegate/exchange.hpp"
#include "lib/delegate/lookup.hpp"
#include "lib/delegate/process.hpp"
#include "lib/delegate/signals.hpp"

namespace portmapper::delegate {
namespace {

constexpr std::size_t details_limit = std::size_t{64} << 10;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view white = " \t\r\n";
  const std::size_t first = text.find_first_not_of(white);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(white) + 1 - first);
}

// A shell's "sh: jq: not found" must not turn a DEL that failed into one that containerd believes
// (see lookup.hpp). A CNI error object is passed on as it is: what it says, it means.
std::string unmistakable(std::string text) {
  constexpr std::string_view phrase = "not found";
  for (std::size_t at = text.find(phrase); at != std::string::npos; at = text.find(phrase, at)) {
    text[at + phrase.find(' ')] = '-';
  }
  return text;
}

std::string details_of(Exchange& exchange) {
  const std::string_view output = trimmed(exchange.output());
  if (output.starts_with('{')) return std::string(output.substr(0, details_limit));
  if (!output.empty()) return unmistakable(std::string(output.substr(0, details_limit)));
  return unmistakable(std::string(trimmed(exchange.stderr_tail())));
}

std::string signal_name(int number) {
  const char* const name = libc::signal_abbreviation(number);
  return name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(number);
}

// How the call failed, in words; empty when it did not.
std::string what_failed(const Call& call, End end, int status) {
  const std::string who = "delegate " + std::string(call.command);
  switch (end) {
    case End::timed_out:
      return who + " took longer than the " + std::to_string(call.time_limit.count()) +
             " s of delegateTimeout and was killed";
    case End::too_much_output:
      return who + " printed more than 16 MiB on stdout";
    case End::exited:
      break;
  }
  if (WIFSIGNALED(status)) return who + " was killed by " + signal_name(WTERMSIG(status));
  if (WEXITSTATUS(status) == 0) return {};
  return who + " ended with exit status " + std::to_string(WEXITSTATUS(status));
}

Error never_started(Error error) {
  error.kind = ErrorKind::delegate_missing;
  return error;
}

Error about(const std::string& path, Error error, std::string details) {
  error.object = path;
  error.details = std::move(details);
  return error;
}

}  // namespace

Result<std::string> PluginRunner::run(const Call& call) {
  const Result<std::string> path = find_plugin(call.type, cni_path_);
  if (!path) return never_started(path.error());
  const ChildSignals signals;
  Result<Exchange> exchange = Exchange::open(call.input);
  if (!exchange) return never_started(about(*path, exchange.error(), {}));
  Result<Process> process = Process::start(*path, call.command, exchange->child_ends());
  if (!process) return never_started(process.error());
  const Result<End> end = exchange->run(*process, call.time_limit);
  const Result<int> status = process->wait();
  if (!end) return about(*path, end.error(), details_of(*exchange));
  if (!status && *end == End::exited) return about(*path, status.error(), details_of(*exchange));
  std::string what = what_failed(call, *end, status ? *status : 0);
  if (!status) what += ", but has not ended yet";
  if (what.empty()) return std::move(exchange->output());
  return delegate_failed(std::move(what), *path, 0, details_of(*exchange));
}

}  // namespace portmapper::delegate
