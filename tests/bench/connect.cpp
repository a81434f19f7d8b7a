// connect: how long a new TCP connection takes, in two or more places, one after the other.
//
//   connect ROUNDS SERVER-NETNS:PORT... -- LABEL=NETNS=ADDRESS=PORT...
//
// Every round connects once from each client namespace and resets the connection. Printed: "LABEL
// NANOSECONDS" for each connection, from socket() to connect() having returned. This process listens
// itself and accepts between the rounds: to wake another one costs as much as the connection. Each round
// begins with another client, since the first one finds less in the caches.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

namespace {

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == separator)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

int open_namespace(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) die(path.c_str());
  return fd;
}

sockaddr_in address(const char* ip, const std::string& port) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_port = htons(static_cast<std::uint16_t>(std::atoi(port.c_str())));
  if (inet_pton(AF_INET, ip, &result.sin_addr) != 1) die(ip);
  return result;
}

int listen_in(const std::string& netns, const std::string& port) {
  if (setns(open_namespace(netns), CLONE_NEWNET) != 0) die("setns");
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const sockaddr_in any = address("0.0.0.0", port);
  if (bind(listener, reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0) die("bind");
  if (listen(listener, 4096) != 0) die("listen");
  return listener;
}

void accept_all(const std::vector<int>& listeners) {
  for (const int listener : listeners)
    for (int connection = 0; connection >= 0;) {
      connection = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection >= 0) close(connection);
    }
}

struct Client {
  std::string label;
  int netns = -1;
  sockaddr_in server{};
};

long long now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

void connect_once(const Client& client) {
  if (setns(client.netns, CLONE_NEWNET) != 0) die("setns");
  const long long begin = now();
  const int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(connection, reinterpret_cast<const sockaddr*>(&client.server),
              sizeof client.server) != 0)
    die(client.label.c_str());
  const long long end = now();
  const linger reset{1, 0};
  setsockopt(connection, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close(connection);
  std::printf("%s %lld\n", client.label.c_str(), end - begin);
}

}  // namespace

int main(int argc, char** argv) {
  (void)setpriority(PRIO_PROCESS, 0, -20);  // what else runs here is not what is measured
  int at = 2;
  std::vector<int> listeners;
  for (; at < argc && std::strcmp(argv[at], "--") != 0; ++at) {
    const std::vector<std::string> parts = split(argv[at], ':');
    listeners.push_back(listen_in(parts.at(0), parts.at(1)));
  }
  std::vector<Client> clients;
  for (++at; at < argc; ++at) {
    const std::vector<std::string> parts = split(argv[at], '=');
    clients.push_back(
        {parts.at(0), open_namespace(parts.at(1)), address(parts.at(2).c_str(), parts.at(3))});
  }
  if (clients.empty()) {
    std::fputs("usage: connect ROUNDS NETNS:PORT... -- LABEL=NETNS=ADDRESS=PORT...\n", stderr);
    return 2;
  }
  for (int round = std::atoi(argv[1]); round > 0; --round) {
    for (const Client& client : clients) connect_once(client);
    accept_all(listeners);
    std::rotate(clients.begin(), clients.begin() + 1, clients.end());
  }
  return 0;
}
