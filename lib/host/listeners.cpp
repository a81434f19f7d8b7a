#include "lib/host/listeners.hpp"

#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <map>

#include "lib/host/open_files.hpp"

namespace portmapper::host {
namespace {

// The addresses in /proc/net are 32-bit words in host byte order, in hexadecimal.
IpAddress parse_address(Family family, const char* hex) {
  std::array<std::uint8_t, 16> bytes{};
  for (std::size_t i = 0; i < address_length(family); i += 4) {
    std::uint32_t word = 0;
    std::from_chars(hex + i * 2, hex + i * 2 + 8, word, 16);
    std::memcpy(bytes.data() + i, &word, sizeof word);
  }
  return {family, bytes};
}

// Sockets of one file that listen on the port, by inode.
void read_sockets(const std::string& path, Family family, bool is_tcp, std::uint16_t port,
                  std::map<std::uint64_t, IpAddress>& sockets) {
  constexpr unsigned kListen = 10;  // TCP_LISTEN
  constexpr unsigned kUnbound = 7;  // TCP_CLOSE: a UDP socket without a peer
  const OpenFile file(std::fopen(path.c_str(), "re"));
  std::array<char, 512> line{};
  while (file && std::fgets(line.data(), line.size(), file.get()) != nullptr) {
    std::array<char, 40> address{};
    unsigned local_port = 0;
    unsigned state = 0;
    unsigned long inode = 0;
    // sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
    // The kernel writes no number that does not fit. NOLINTNEXTLINE(cert-err34-c)
    if (std::sscanf(line.data(), " %*d: %32[0-9A-F]:%x %*s %x %*s %*s %*s %*s %*s %lu",
                    address.data(), &local_port, &state, &inode) != 4)
      continue;
    if (local_port == port && state == (is_tcp ? kListen : kUnbound))
      sockets.emplace(inode, parse_address(family, address.data()));
  }
}

std::string process_name(const std::string& pid) {
  std::array<char, 64> name{};
  const OpenFile file(std::fopen(("/proc/" + pid + "/comm").c_str(), "re"));
  if (!file || std::fgets(name.data(), name.size(), file.get()) == nullptr) return "?";
  return {name.data(), std::strcspn(name.data(), "\n")};
}

// Which of the sockets a process has open.
void read_process(const std::string& pid, std::map<std::uint64_t, IpAddress>& sockets,
                  std::vector<Listener>& found) {
  const std::string directory = "/proc/" + pid + "/fd/";
  const OpenDirectory descriptors(opendir(directory.c_str()));
  while (const dirent* entry = descriptors ? readdir(descriptors.get()) : nullptr) {
    std::array<char, 64> target{};
    const ssize_t length =
        readlink((directory + entry->d_name).c_str(), target.data(), target.size() - 1);
    unsigned long inode = 0;
    if (length <= 0 || std::sscanf(target.data(), "socket:[%lu]", &inode) != 1) continue;  // NOLINT
    const auto socket = sockets.find(inode);
    if (socket == sockets.end()) continue;
    int number = 0;
    std::from_chars(pid.data(), pid.data() + pid.size(), number);
    found.push_back({process_name(pid), number, socket->second});
    sockets.erase(socket);
  }
}

}  // namespace

std::vector<Listener> listeners(Protocol protocol, std::uint16_t port) {
  std::vector<Listener> found;
  if (protocol == Protocol::sctp) return found;
  const bool is_tcp = protocol == Protocol::tcp;
  const std::string path = "/proc/self/net/" + std::string(to_string(protocol));
  std::map<std::uint64_t, IpAddress> sockets;
  read_sockets(path, Family::ipv4, is_tcp, port, sockets);
  read_sockets(path + "6", Family::ipv6, is_tcp, port, sockets);
  const OpenDirectory proc(sockets.empty() ? nullptr : opendir("/proc"));
  while (const dirent* entry = proc && !sockets.empty() ? readdir(proc.get()) : nullptr)
    if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
      read_process(entry->d_name, sockets, found);
  for (const auto& [inode, address] : sockets) found.push_back({"?", 0, address});
  return found;
}

}  // namespace portmapper::host
