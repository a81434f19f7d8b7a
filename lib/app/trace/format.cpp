#include "lib/app/trace/format.hpp"

#include "lib/app/trace/story.hpp"
#include "lib/base/escape.hpp"
#include "lib/json/writer.hpp"
#include "nft/foreign/rule_text.hpp"

namespace portmapper::trace {
namespace {

std::string protocol_name(const Header& header) {
  const auto protocol = protocol_from_number(header.protocol);
  if (protocol) return std::string(to_string(*protocol));
  return is_icmp(header) ? "icmp" : std::to_string(header.protocol);
}

std::string flags_of(const Header& header) {
  struct Flag {
    std::uint8_t bit;
    const char* name;
  };
  constexpr Flag kFlags[] = {{0x02, "SYN"}, {0x10, "ACK"}, {0x01, "FIN"}, {0x04, "RST"}};
  std::string text;
  for (const Flag& flag : kFlags)
    if ((header.tcp_flags & flag.bit) != 0)
      text += (text.empty() ? "" : ", ") + std::string(flag.name);
  return text.empty() ? text : " (" + text + ")";
}

std::string ends_of(const Header& header) {
  return place(header.source, header.source_port) + " to " +
         place(header.destination, header.destination_port) + "/" + protocol_name(header) +
         flags_of(header);
}

// ", from lan0 to cni0"
std::string devices_of(const Passage& passage, const Known& known) {
  const Header& header = passage.before;
  std::string text;
  if (header.input != 0) text += " from " + device_name(known, header.input);
  if (header.output != 0) text += " to " + device_name(known, header.output);
  return text.empty() ? text : "," + text;
}

std::string chain_of(const Visit& visit) {
  std::string text =
      printable(to_string(visit.chain.first)) + ", chain " + printable(visit.chain.second);
  if (visit.hook)
    text += " (" + printable(visit.hook->type) + ", priority " +
            std::to_string(visit.hook->priority) + ")";
  return text;
}

// "chain networks: jump MESOS-WEB", "ct state new  [continue]": a text that ends with its verdict
// does not need it twice.
std::string line_of(const Event& step, const Visit& visit, const Known& known) {
  if (step.kind == Event::Kind::policy)
    return "no rule decides  [policy " + to_string(step.verdict) + "]";
  if (step.kind == Event::Kind::leave && step.handle == 0) return {};
  const std::string verdict =
      printable(step.kind == Event::Kind::leave ? "return" : to_string(step.verdict));
  std::string text = rule_of(known, step);
  if (step.chain != visit.chain) text.insert(0, "chain " + printable(step.chain.second) + ": ");
  if (text.ends_with(" " + verdict) || text.ends_with(verdict)) return text;
  return text + "  [" + verdict + "]";
}

std::string translation_of(const Passage& passage) {
  if (!passage.behind) return {};
  const Header& before = passage.before;
  const Header& behind = *passage.behind;
  std::string text;
  if (behind.destination != before.destination ||
      behind.destination_port != before.destination_port)
    text += "    destination is now " + place(behind.destination, behind.destination_port) + "\n";
  if (behind.source != before.source || behind.source_port != before.source_port)
    text += "    source is now " + place(behind.source, behind.source_port) + "\n";
  return text;
}

std::string format_way(const Packet& packet, const Known& known) {
  std::string text;
  for (const Passage& passage : packet.passages) {
    text += "  " + hook_name(passage) + devices_of(passage, known) + "\n";
    for (const Visit& visit : passage.visits) {
      text += "    " + chain_of(visit) + "\n";
      for (const Event& step : visit.steps) {
        const std::string line = line_of(step, visit, known);
        if (!line.empty()) text += "      " + line + "\n";
      }
    }
    text += translation_of(passage);
  }
  return text;
}

void write_place(json::Writer& out, const char* name, const IpAddress& address,
                 std::uint16_t port) {
  out.key(name).begin_object().member("address", address.to_string());
  if (port != 0) out.member("port", int{port});
  out.end_object();
}

void write_step(json::Writer& out, const Event& step, const Known& known) {
  out.begin_object()
      .member("chain", step.chain.second)
      .member("handle", static_cast<std::int64_t>(step.handle));
  const auto chain = known.texts.find(step.chain);
  if (chain != known.texts.end()) {
    const auto rule = chain->second.find(step.handle);
    if (rule != chain->second.end()) out.member("rule", rule->second);
  }
  out.member("verdict", step.kind == Event::Kind::leave ? "return" : to_string(step.verdict));
  out.end_object();
}

void write_visit(json::Writer& out, const Visit& visit, const Known& known) {
  const std::string table = to_string(visit.chain.first);
  out.begin_object()
      .member("family", table.substr(0, table.find(' ')))
      .member("table", visit.chain.first.name)
      .member("chain", visit.chain.second);
  if (visit.hook)
    out.member("type", visit.hook->type).member("priority", int{visit.hook->priority});
  out.key("rules").begin_array();
  for (const Event& step : visit.steps)
    if (step.kind != Event::Kind::policy && step.handle != 0) write_step(out, step, known);
  out.end_array();
  for (const Event& step : visit.steps)
    if (step.kind == Event::Kind::policy) out.member("policy", to_string(step.verdict));
  out.end_object();
}

void write_packet(json::Writer& out, const Packet& packet, const Known& known) {
  write_place(out, "source", packet.begin.source, packet.begin.source_port);
  write_place(out, "destination", packet.begin.destination, packet.begin.destination_port);
  out.member("protocol", protocol_name(packet.begin)).key("hooks").begin_array();
  for (const Passage& passage : packet.passages) {
    out.begin_object().member("hook", hook_name(passage));
    if (passage.before.input != 0) out.member("input", device_name(known, passage.before.input));
    if (passage.before.output != 0) out.member("output", device_name(known, passage.before.output));
    out.key("chains").begin_array();
    for (const Visit& visit : passage.visits) write_visit(out, visit, known);
    out.end_array();
    if (passage.behind) {
      write_place(out, "source", passage.behind->source, passage.behind->source_port);
      write_place(out, "destination", passage.behind->destination,
                  passage.behind->destination_port);
    }
    out.end_object();
  }
  out.end_array();
}

void write_publisher(json::Writer& out, const Publisher& one) {
  out.begin_object()
      .member("hostAddress", one.published.address.to_string())
      .member("containerID", one.container)
      .member("network", one.network)
      .member("interface", one.interface);
  if (one.endpoint)
    out.member("containerAddress", one.endpoint->address.to_string())
        .member("containerPort", int{one.endpoint->port.value()});
  out.end_object();
}

void write_told(json::Writer& out, const Told& told, const Known& known) {
  const auto& [story, conclusion] = told;
  out.begin_object();
  write_packet(out, story.request, known);
  if (story.answer) {
    out.key("answer").begin_object();
    write_packet(out, *story.answer, known);
    out.end_object();
  }
  out.member("outcome", conclusion.kind).key("sentences").begin_array();
  for (const std::string& sentence : conclusion.sentences) out.string(sentence);
  out.end_array();
  if (!conclusion.command.empty()) out.member("command", conclusion.command);
  out.end_object();
}

}  // namespace

std::string format_publishers(const Known& known) {
  std::string text;
  for (const Publisher& one : known.publishers) {
    text += to_string(one.published) + " is published by container " + printable(one.container) +
            " of network " + printable(one.network) + " (" + printable(one.interface) + ")";
    text += one.endpoint ? " and leads to " + to_string(*one.endpoint) + ".\n"
                         : "; its target is missing.\n";
  }
  if (!text.empty()) return text;
  return "Nobody publishes " + std::to_string(known.port.value()) + "/" +
         std::string(to_string(known.protocol)) + ".\n";
}

std::string format(const Told& told, const Known& known) {
  const auto& [story, conclusion] = told;
  std::string text = "\nPacket " + std::to_string(story.number) + ": " +
                     ends_of(story.request.begin) + "\n\n" + format_way(story.request, known);
  if (story.answer)
    text +=
        "\nIts answer: " + ends_of(story.answer->begin) + "\n\n" + format_way(*story.answer, known);
  text += "\n";
  for (const std::string& sentence : conclusion.sentences) text += sentence + "\n";
  if (!conclusion.command.empty()) text += "To see more: " + conclusion.command + "\n";
  return text;
}

std::string format_json(const std::vector<Told>& all, const Known& known) {
  json::Writer out;
  out.begin_object()
      .member("port", int{known.port.value()})
      .member("protocol", std::string_view(to_string(known.protocol)))
      .key("publishers")
      .begin_array();
  for (const Publisher& one : known.publishers) write_publisher(out, one);
  out.end_array().key("packets").begin_array();
  for (const Told& told : all) write_told(out, told, known);
  out.end_array().end_object();
  return std::move(out).text() + "\n";
}

}  // namespace portmapper::trace
