// Namespaces: work done inside a network namespace, without leaving one's own.
//
//   std::string rules = in_namespace("npm-1-1-host", [] { return read("/proc/net/route"); });
//   write_sysctl("npm-1-1-host", "net/ipv4/ip_forward", "1");
//
// A namespace is named as `ip netns` names it; the empty name is the caller's own. Only the network
// namespace changes, on a thread of its own: mounts, /sys and the caller's thread stay as they are.
// A socket that `function` returns goes on living in that namespace, as does a process it starts.
// Errors: std::runtime_error; what `function` throws is thrown here.
// Source: network_namespaces(7), setns(2); /proc/sys/net shows the namespace of the thread.
#pragma once

#include <future>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace portmapper::test {

std::string namespace_path(const std::string& ns);  // "/run/netns/<ns>"
bool namespace_exists(const std::string& ns);
void enter_namespace(const std::string& ns);  // the calling thread, for good

template <typename Function>
std::invoke_result_t<Function> in_namespace(const std::string& ns, Function function) {
  if (ns.empty()) return function();
  std::packaged_task<std::invoke_result_t<Function>()> task([&] {
    enter_namespace(ns);
    return function();
  });
  auto result = task.get_future();
  std::thread(std::move(task)).join();
  return result.get();
}

void write_sysctl(const std::string& ns, const std::string& key, const std::string& value);
std::string read_sysctl(const std::string& ns, const std::string& key);

// Makes namespaces of this process, all in one step. They go with remove_namespace, or when the
// process ends, also by a signal; those of a process that was killed go at the next call.
void make_namespaces(const std::vector<std::string>& names);
void remove_namespace(const std::string& ns) noexcept;

}  // namespace portmapper::test
