// Story: one packet that began a connection, its answer, and what became of both, in sentences.
//
//   const Story story{.number = 1, .request = Packet(), .answer = Packet()};  // of lib/app/trace/way
//   const Conclusion conclusion = conclude(story, Known{.port = port8080});
//   conclusion.kind;       // "dropped"
//   conclusion.sentences;  // {"Dropped in forward, by the policy (drop) of chain FORWARD of ..."}
//
// A pure function of what was seen and of what is known of the host; lib/app/ctl/trace reads both.
// Sentences are fit to be printed; a command is there only where every name in it is plain. Errors:
// none. Does not promise: why a program behind the last device did not answer.
// Source: packaging/doc/troubleshooting.md, "See the way of a packet".
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/app/trace/way.hpp"
#include "nft/published_port.hpp"
#include "nft/trace/rule_text.hpp"

namespace portmapper::trace {

struct Publisher {
  nft::PublishedPort published;
  std::optional<nft::Endpoint> endpoint{};
  std::string container{};
  std::string network{};
  std::string interface {};
};

// What is known of the host besides.
struct Known {
  Protocol protocol = Protocol::tcp;
  Port port;
  std::vector<Publisher> publishers{};
  bool sees_answers = true;  // conntrack tells them
  nft::trace::RuleTexts texts{};
  std::map<std::uint32_t, std::string> devices{};
  std::optional<std::int64_t> forwards{};   // net.ipv4.ip_forward
  std::optional<std::int64_t> forwards6{};  // net.ipv6.conf.all.forwarding
  std::vector<std::string> listeners{};     // of the host, at the port; fit to be printed
  std::vector<std::string> legacy{};  // tables of iptables-legacy, whose rules nobody sees here
};

struct Story {
  std::size_t number = 1;
  Packet request;
  std::optional<Packet> answer{};
};

struct Conclusion {
  std::string kind;  // "answered", "passed", "refused", "silent", "dropped", "queued", "lost",
                     // "answer-dropped", "answer-queued", "answer-lost"
  std::vector<std::string> sentences;
  std::string command{};  // that shows more; may be empty

  // A datagram need not be answered.
  [[nodiscard]] bool is_well() const { return kind == "answered" || kind == "passed"; }
};
Conclusion conclude(const Story& story, const Known& known);

// What was known when the packet had come to its end: of later ones other things are.
struct Told {
  Story story;
  Conclusion conclusion;
};

// "lan0"; of a device that is gone "device 7".
std::string device_name(const Known& known, std::uint32_t index);
// "prerouting", "bridge forward"
std::string hook_name(const Passage& passage);
// "192.0.2.1:8080", "[fd00::2]:80", "192.0.2.1" without a port.
std::string place(const IpAddress& address, std::uint16_t port);
// The rule's text, or its handle and the command that shows it.
std::string rule_of(const Known& known, const Event& step);

}  // namespace portmapper::trace
