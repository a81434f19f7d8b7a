#include "tests/support/namespace.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <system_error>

#include "lib/base/unique_fd.hpp"
#include "tests/support/process.hpp"
#include "tests/support/running.hpp"

namespace portmapper::test {
namespace {

constexpr const char* directory = "/run/netns";

// The paths of all namespaces of this process, where a signal handler can read them: fixed memory,
// a slot is free when its first byte is 0.
constexpr std::size_t slots = 4096;
std::array<std::array<char, 64>, slots> registry;
std::mutex registry_mutex;

void forget_path(const char* path) noexcept {
  umount2(path, MNT_DETACH);
  unlink(path);
}

void enlist(const std::string& ns) {
  const std::string path = namespace_path(ns);
  const std::lock_guard lock(registry_mutex);
  for (auto& slot : registry) {
    if (slot[0] != 0) continue;
    if (path.size() >= slot.size()) throw std::runtime_error(path + ": the name is too long");
    std::memcpy(slot.data(), path.c_str(), path.size() + 1);
    return;
  }
  throw std::runtime_error("too many namespaces at once");
}

// Only calls that are safe in a signal handler: umount2 and unlink are plain system calls.
void remove_all() noexcept {
  for (auto& slot : registry) {
    if (slot[0] == 0) continue;
    forget_path(slot.data());
    slot[0] = 0;
  }
}

extern "C" void remove_all_and_die(int signal_number) {
  remove_all();
  std::signal(signal_number, SIG_DFL);
  std::raise(signal_number);
}

// Before main, so that doctest's own handlers are put on top of these and end in them.
[[maybe_unused]] const bool handlers_installed = [] {
  std::atexit(remove_all);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE}) {
    std::signal(number, remove_all_and_die);
  }
  std::signal(SIGPIPE, SIG_IGN);
  return true;
}();

// "npm-<pid>-...", and no process of that number runs any more.
bool belongs_to_the_dead(std::string_view name) {
  if (!name.starts_with("npm-")) return false;
  name.remove_prefix(4);
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
  if (error != std::errc() || end == name.data() + name.size() || *end != '-') return false;
  return !is_running(pid);
}

void sweep_once() {
  static std::once_flag swept;
  std::call_once(swept, [] {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
      if (belongs_to_the_dead(entry.path().filename().string())) forget_path(entry.path().c_str());
    }
  });
}

}  // namespace

std::string namespace_path(const std::string& ns) {
  return std::string(directory) + "/" + ns;
}

bool namespace_exists(const std::string& ns) {
  return access(namespace_path(ns).c_str(), F_OK) == 0;
}

void enter_namespace(const std::string& ns) {
  if (ns.empty()) return;
  const UniqueFd fd(open(namespace_path(ns).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd || setns(fd.get(), CLONE_NEWNET) != 0) {
    throw std::runtime_error("cannot enter " + namespace_path(ns) + ": " + std::strerror(errno));
  }
}

void write_sysctl(const std::string& ns, const std::string& key, const std::string& value) {
  in_namespace(ns, [&] {
    std::ofstream file("/proc/sys/" + key);
    file << value << std::flush;
    if (!file) throw std::runtime_error("cannot write " + value + " to /proc/sys/" + key);
  });
}

std::string read_sysctl(const std::string& ns, const std::string& key) {
  return in_namespace(ns, [&] {
    std::ifstream file("/proc/sys/" + key);
    std::string line;
    if (!std::getline(file, line)) throw std::runtime_error("cannot read /proc/sys/" + key);
    return line;
  });
}

void make_namespaces(const std::vector<std::string>& names) {
  sweep_once();
  std::string batch;
  for (const std::string& name : names) {
    enlist(name);
    batch += "netns add " + name + "\n";
  }
  const RunResult result = run({"ip", "-batch", "-"}, {.input = batch});
  if (result.status == 0) return;
  for (const std::string& name : names) remove_namespace(name);
  throw std::runtime_error("cannot make network namespaces: " + result.err);
}

void remove_namespace(const std::string& ns) noexcept {
  const std::string path = namespace_path(ns);
  const std::lock_guard lock(registry_mutex);
  for (auto& slot : registry) {
    if (path == slot.data()) slot[0] = 0;
  }
  forget_path(path.c_str());
}

}  // namespace portmapper::test
