#include "lib/app/trace/story.hpp"

#include <linux/netfilter.h>

#include <algorithm>
#include <array>

#include "lib/app/doctor/doctor.hpp"
#include "lib/base/escape.hpp"
#include "nft/names.hpp"

namespace portmapper::trace {
namespace {

constexpr std::uint8_t kReset = 0x04;

std::string chain_name(const nft::foreign::Name& chain) {
  return "chain " + printable(chain.second) + " of table " + printable(to_string(chain.first));
}

std::string show_chain(const nft::foreign::Name& chain) {
  if (!doctor::is_plain(chain.first.name) || !doctor::is_plain(chain.second)) return {};
  return "nft -a list chain " + to_string(chain.first) + " " + chain.second;
}

bool is_ours(const nft::foreign::Name& chain) {
  return chain.first == nft::foreign::TableId{NFPROTO_INET, nft::kTable};
}

std::string icmp_name(const Header& header) {
  struct Named {
    std::uint8_t protocol;
    std::uint8_t type;
    std::uint8_t code;
    const char* name;
  };
  constexpr std::array kNames = {
      Named{nft::trace::kIcmp, 3, 0, "network unreachable"},
      Named{nft::trace::kIcmp, 3, 1, "host unreachable"},
      Named{nft::trace::kIcmp, 3, 3, "port unreachable"},
      Named{nft::trace::kIcmp, 3, 4, "fragmentation needed"},
      Named{nft::trace::kIcmp, 3, 10, "host prohibited"},
      Named{nft::trace::kIcmp, 3, 13, "administratively prohibited"},
      Named{nft::trace::kIcmpv6, 1, 0, "no route"},
      Named{nft::trace::kIcmpv6, 1, 1, "administratively prohibited"},
      Named{nft::trace::kIcmpv6, 1, 3, "address unreachable"},
      Named{nft::trace::kIcmpv6, 1, 4, "port unreachable"},
      Named{nft::trace::kIcmpv6, 2, 0, "packet too big"},
  };
  for (const Named& one : kNames)
    if (one.protocol == header.protocol && one.type == header.icmp_type &&
        one.code == header.icmp_code)
      return std::string("ICMP \"") + one.name + "\"";
  return "ICMP type " + std::to_string(header.icmp_type) + " code " +
         std::to_string(header.icmp_code);
}

// "10.22.0.2:80 (container abc)"
std::string target(const Known& known, const Header& header) {
  const std::string text = place(header.destination, header.destination_port);
  for (const Publisher& one : known.publishers)
    if (one.endpoint && one.endpoint->address == header.destination &&
        one.endpoint->port.value() == header.destination_port)
      return text + " (container " + printable(one.container) + ")";
  return text;
}

// How a packet ended that did not get through.
struct Loss {
  std::string kind;
  std::vector<std::string> sentences;
  std::string command{};
};

Loss decided(const Packet& packet, const End& end, const Known& known) {
  const Passage& passage = packet.passages[end.passage];
  const Visit& visit = passage.visits[end.visit];
  const Event& step = visit.steps.back();
  const bool is_drop = end.fate == Fate::dropped;
  Loss loss{is_drop ? "dropped" : "queued", {}, show_chain(step.chain)};
  const std::string where = " in " + hook_name(passage) + ", by ";
  if (!is_drop)
    loss.sentences = {"given to a program" + where + "a queue rule of " + chain_name(step.chain) +
                          ": " + rule_of(known, step) + ".",
                      "What the program does with it cannot be seen here."};
  else if (step.kind == Event::Kind::policy)
    loss.sentences = {"dropped" + where + "the policy (drop) of " + chain_name(visit.chain) +
                      ": none of its rules accepted it."};
  else
    loss.sentences = {"dropped" + where + "a rule of " + chain_name(step.chain) + ": " +
                      rule_of(known, step) + "."};
  if (is_ours(step.chain))
    loss.sentences.emplace_back(
        "That rule keeps others away from what only this host may reach by its loopback "
        "addresses.");
  return loss;
}

Loss vanished(const Passage& passage, const Known& known) {
  Loss loss{"lost",
            {"lost in " + hook_name(passage) + ", where no rule of nftables dropped it."},
            "nft-port-mapperctl doctor"};
  std::string tables;
  for (const std::string& table : known.legacy)
    tables += (tables.empty() ? "" : ", ") + printable(table);
  if (!tables.empty()) {
    loss.sentences.push_back("iptables-legacy has tables here (" + tables +
                             "), whose rules drop without a trace.");
    loss.command = "iptables-legacy-save -c";
    return loss;
  }
  loss.sentences.emplace_back(
      "A full connection table does that (net.netfilter.nf_conntrack_count has reached"
      " nf_conntrack_max), IPVS does, or a program with hooks of its own; or a rule switched the "
      "trace off (meta nftrace"
      " set 0).");
  return loss;
}

std::string route_command(const Passage& passage, const Known& known) {
  const Header& header = *passage.behind;
  std::string command = "ip route get " + header.destination.to_string();
  if (passage.hook != NF_INET_PRE_ROUTING) return command;
  const std::string device = device_name(known, header.input);
  if (!doctor::is_plain(device)) return command;
  return command + " from " + header.source.to_string() + " iif " + device;
}

Loss unrouted(const Passage& passage, const Known& known) {
  const Header& header = *passage.behind;
  const bool is_ipv4 = header.destination.family() == Family::ipv4;
  Loss loss{"lost",
            {"lost behind " + hook_name(passage) + ": the kernel did not let it go on to " +
             target(known, header) + "."},
            route_command(passage, known)};
  if (passage.hook != NF_INET_PRE_ROUTING) {
    loss.sentences.emplace_back(
        "No route leads there, or the packet is larger than the MTU of the device.");
    return loss;
  }
  if ((is_ipv4 ? known.forwards : known.forwards6) == 0) {
    const std::string name = is_ipv4 ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding";
    loss.sentences.push_back(name + " is 0: the host forwards nothing.");
    loss.command = "nft-port-mapperctl doctor";
    return loss;
  }
  loss.sentences.push_back("No route leads there, forwarding is off on " +
                           device_name(known, header.input) + ", or rp_filter refuses " +
                           header.source.to_string() + " as a source there.");
  return loss;
}

Loss loss_of(const Packet& packet, const End& end, const Known& known) {
  const Passage& passage = packet.passages[end.passage];
  if (end.fate == Fate::dropped || end.fate == Fate::queued) return decided(packet, end, known);
  return end.fate == Fate::vanished ? vanished(passage, known) : unrouted(passage, known);
}

bool got_through(const End& end) {
  return end.fate == Fate::left || end.fate == Fate::delivered;
}

std::string capitalised(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z')
    text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

// Where it went: "It left through cni0 to 10.22.0.2:80 (container abc)."
std::string arrival(const Packet& packet, const End& end, const Known& known) {
  const Header& last = *packet.passages[end.passage].behind;
  if (end.fate == Fate::left)
    return "It left through " + device_name(known, last.output) + " to " + target(known, last) +
           ".";
  std::string text = "It was delivered to this host itself, at " +
                     place(last.destination, last.destination_port) + ", not to a container";
  if (known.listeners.empty()) return text + "; no process of the host listens there.";
  for (std::size_t i = 0; i < known.listeners.size(); ++i)
    text += (i == 0 ? ": " : ", ") + known.listeners[i];
  return text + (known.listeners.size() == 1 ? " listens there." : " listen there.");
}

bool is_translated_at(std::uint32_t hook) {
  return hook == NF_INET_PRE_ROUTING || hook == NF_INET_LOCAL_OUT;
}

bool is_moved(const Passage& passage) {
  return passage.behind && (passage.behind->destination != passage.before.destination ||
                            passage.behind->destination_port != passage.before.destination_port);
}

// What is known of how the packet's destination was decided.
struct Translating {
  const Passage* by_others = nullptr;  // where somebody else translated it
  const Event* untracks = nullptr;     // the rule that keeps it from being tracked
  bool is_ours = false;                // we translated it
  bool has_our_chains = false;         // our table looked at it
  bool has_nat_chains = false;
};

void look_at(const Passage& passage, const Known& known, Translating& found) {
  const Visit* translator = translator_of(passage);
  if (translator != nullptr && is_ours(translator->chain)) found.is_ours = true;
  if (is_moved(passage) && found.by_others == nullptr) found.by_others = &passage;
  for (const Visit& visit : passage.visits) {
    found.has_our_chains = found.has_our_chains || is_ours(visit.chain);
    found.has_nat_chains = found.has_nat_chains || (visit.hook && visit.hook->type == "nat");
    for (const Event& step : visit.steps)
      if (rule_of(known, step).find("notrack") != std::string::npos) found.untracks = &step;
  }
}

// No translator: no chain of nftables.
std::string translator_name(const Visit* translator, const Known& known) {
  if (translator != nullptr) return capitalised(chain_name(translator->chain));
  return known.legacy.empty() ? "Something outside nftables" : "iptables-legacy";
}

// Why it did not go where the published port leads. Of a packet that was dropped before: nothing.
void note_translation(const Packet& request, const Known& known, Conclusion& conclusion) {
  if (known.publishers.empty() || !request.passages.front().behind) return;
  Translating found;
  for (const Passage& passage : request.passages)
    if (is_translated_at(passage.hook)) look_at(passage, known, found);
  if (found.is_ours) return;
  std::string& text = conclusion.sentences.emplace_back();
  if (found.by_others != nullptr) {
    const Visit* const translator = translator_of(*found.by_others);
    const Header& to = *found.by_others->behind;
    text = translator_name(translator, known) + " translated it to " +
           place(to.destination, to.destination_port) +
           " before the published port's own rules were asked: they come later.";
    if (translator != nullptr)
      conclusion.command = show_chain(translator->chain);
    else if (!known.legacy.empty())
      conclusion.command = "iptables-legacy-save -c -t nat";
  } else if (found.untracks != nullptr) {
    text = "It is not tracked, so no rule translated it: " + chain_name(found.untracks->chain) +
           " has the rule " + rule_of(known, *found.untracks) + ".";
    conclusion.command = show_chain(found.untracks->chain);
  } else if (!found.has_our_chains) {
    text = "The published port's own rules were not asked: their table is dormant, or not whole.";
    conclusion.command = "nft-port-mapperctl check --repair";
  } else {
    text = found.has_nat_chains
               ? "No rule translated it to the container."
               : "No rule was asked how to translate it: it belongs to a connection that is older,"
                 " and goes where that one's first packet went.";
  }
}

void refuse(const Packet& answer, const Packet& request, Conclusion& conclusion) {
  const Header& last = request.now;
  conclusion.kind = "refused";
  const std::string what = is_icmp(answer.begin) ? icmp_name(answer.begin) : "a reset";
  conclusion.sentences.push_back("Refused: " + answer.begin.source.to_string() + " answered with " +
                                 what + ".");
  const std::string name = is_icmp(answer.begin) ? icmp_name(answer.begin) : "";
  if (name == "ICMP \"host unreachable\"" || name == "ICMP \"address unreachable\"")
    conclusion.sentences.push_back("Nobody has the address " + last.destination.to_string() +
                                   " on the network that it was sent to.");
  if (!name.empty() && name != "ICMP \"port unreachable\"") return;
  const bool is_host = end_of(request).fate == Fate::delivered;
  conclusion.sentences.push_back(
      "Nobody listens on port " + std::to_string(last.destination_port) + " of " +
      last.destination.to_string() +
      (is_host
           ? "."
           : ": the program does not run, listens on another port, or on its 127.0.0.1 alone."));
}

void conclude_answer(const Story& story, const Known& known, Conclusion& conclusion) {
  const Packet& answer = *story.answer;
  const End end = end_of(answer);
  if (!got_through(end)) {
    const Loss loss = loss_of(answer, end, known);
    conclusion.kind = "answer-" + loss.kind;
    conclusion.sentences.push_back("An answer came from " +
                                   place(answer.begin.source, answer.begin.source_port) +
                                   ", and was " + loss.sentences.front());
    conclusion.sentences.insert(conclusion.sentences.end(), loss.sentences.begin() + 1,
                                loss.sentences.end());
    conclusion.command = loss.command;
    return;
  }
  if (is_icmp(answer.begin) || (answer.begin.tcp_flags & kReset) != 0)
    return refuse(answer, story.request, conclusion);
  conclusion.kind = "answered";
  const Header& last = *answer.passages[end.passage].behind;
  conclusion.sentences.push_back("Answered: the answer " +
                                 (end.fate == Fate::left
                                      ? "left through " + device_name(known, last.output)
                                      : std::string("reached the client, which is on this host")) +
                                 ".");
}

void conclude_silence(const Story& story, const Known& known, Conclusion& conclusion) {
  if (!known.sees_answers) {
    conclusion.kind = "passed";
    conclusion.sentences.emplace_back(
        "Whether it was answered is not shown: nothing is published here, so answers are not "
        "followed.");
    return;
  }
  if (known.protocol == Protocol::udp) {
    conclusion.kind = "passed";
    conclusion.sentences.emplace_back("No answer was seen; a program need not answer a datagram.");
    return;
  }
  conclusion.kind = "silent";
  if (end_of(story.request).fate == Fate::delivered) {
    conclusion.sentences.emplace_back("No answer of a tracked connection was seen.");
    return;
  }
  conclusion.sentences.push_back("No answer came back: nothing is at " +
                                 story.request.now.destination.to_string() +
                                 ", it drops the packet, or its answer takes another way.");
  conclusion.command = "nft-port-mapperctl doctor";
}

}  // namespace

std::string device_name(const Known& known, std::uint32_t index) {
  const auto found = known.devices.find(index);
  return found == known.devices.end() ? "device " + std::to_string(index)
                                      : printable(found->second);
}

std::string hook_name(const Passage& passage) {
  constexpr std::array kNames = {"prerouting", "input", "forward", "output", "postrouting"};
  if (passage.family == NFPROTO_NETDEV) return passage.hook == 0 ? "ingress" : "egress";
  const std::string prefix = passage.family == NFPROTO_BRIDGE ? "bridge " : "";
  if (passage.hook < kNames.size()) return prefix + kNames.at(passage.hook);
  return passage.hook == NF_INET_INGRESS ? "ingress" : "hook " + std::to_string(passage.hook);
}

std::string place(const IpAddress& address, std::uint16_t port) {
  if (port == 0) return address.to_string();
  return to_string(nft::Endpoint{address, *Port::from(port)});
}

std::string rule_of(const Known& known, const Event& step) {
  const auto chain = known.texts.find(step.chain);
  if (chain != known.texts.end()) {
    const auto rule = chain->second.find(step.handle);
    if (rule != chain->second.end() && !rule->second.empty()) return printable(rule->second);
  }
  const std::string command = show_chain(step.chain);
  return "rule handle " + std::to_string(step.handle) +
         (command.empty() ? "" : " (" + command + " shows it)");
}

Conclusion conclude(const Story& story, const Known& known) {
  Conclusion conclusion;
  const End end = end_of(story.request);
  if (!got_through(end)) {
    Loss loss = loss_of(story.request, end, known);
    loss.sentences.front() = capitalised(loss.sentences.front());
    conclusion = {std::move(loss.kind), std::move(loss.sentences), std::move(loss.command)};
    if (story.answer) conclusion.sentences.emplace_back("The client was told that it is refused.");
    note_translation(story.request, known, conclusion);
    return conclusion;
  }
  conclusion.sentences.push_back(arrival(story.request, end, known));
  note_translation(story.request, known, conclusion);
  if (story.answer)
    conclude_answer(story, known, conclusion);
  else
    conclude_silence(story, known, conclusion);
  return conclusion;
}

}  // namespace portmapper::trace
