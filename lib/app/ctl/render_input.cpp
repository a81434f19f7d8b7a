#include "lib/app/ctl/render_input.hpp"

#include <algorithm>
#include <charconv>

#include "lib/base/ip_address.hpp"
#include "lib/base/port.hpp"
#include "lib/cni/plugin_input.hpp"
#include "lib/json/document.hpp"
#include "lib/json/text.hpp"
#include "lib/json/writer.hpp"

namespace portmapper::ctl {
namespace {

constexpr char kExamplePort[] = "8080:80";
constexpr char kExampleAddress[] = "192.0.2.2/24";

// The parts between commas.
std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t comma = std::min(text.find(',', start), text.size());
    parts.push_back(text.substr(start, comma - start));
    start = comma + 1;
  }
  return parts;
}

std::optional<Port> parse_port(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return Port::from(number);
}

// "8080:80/udp,443:8443" as a runtime's capability arguments.
Result<std::string> capability_arguments(const std::string& publish) {
  json::Writer out;
  out.begin_object().key("portMappings").begin_array();
  for (const std::string& part : split(publish)) {
    const std::string ports = part.substr(0, part.find('/'));
    const std::size_t colon = std::min(ports.find(':'), ports.size());
    const auto host_port = parse_port(ports.substr(0, colon));
    const auto container_port = parse_port(ports.substr(std::min(colon + 1, ports.size())));
    const std::string protocol =
        ports.size() == part.size() ? "tcp" : part.substr(ports.size() + 1);
    if (!host_port || !container_port || !parse_protocol(protocol))
      return invalid_input("--publish: " + json::quoted(part) +
                           " is not HOST-PORT:CONTAINER-PORT[/PROTOCOL]");
    out.begin_object()
        .member("hostPort", host_port->value())
        .member("containerPort", container_port->value())
        .member("protocol", protocol)
        .end_object();
  }
  out.end_array().end_object();
  return std::move(out).text();
}

// "10.22.0.2/16,fd00::2/64" as the result of a plugin that made the interface.
Result<std::string> result_with(const std::string& addresses) {
  json::Writer out;
  out.begin_object().key("ips").begin_array();
  for (const std::string& address : split(addresses)) {
    if (!IpPrefix::parse(address))
      return invalid_input("--address: " + json::quoted(address) + " is not ADDRESS/LENGTH");
    out.begin_object().member("address", address).end_object();
  }
  out.end_array().end_object();
  return std::move(out).text();
}

// The second address of a subnet, which host-local gives out first where the first is the gateway's.
void append_example(const json::Value& subnet, std::string& addresses) {
  const std::optional<IpPrefix> prefix = IpPrefix::parse(subnet.text());
  if (!prefix) return;
  const IpPrefix network = prefix->network();
  IpAddress::Octets bytes = network.address.bytes();
  bytes[network.address.length() - 1] |= 2U;
  const IpPrefix example{IpAddress(network.address.family(), bytes), network.length};
  if (!network.contains(example.address)) return;
  addresses += (addresses.empty() ? "" : ",") + example.to_string();
}

// Of each subnet that the plugins of a list name for their containers.
std::string example_addresses(const json::Value& list) {
  std::string addresses;
  for (const json::Value plugin : list.member("plugins")) {
    const json::Value ipam = plugin.member("ipam");
    append_example(ipam.member("subnet"), addresses);
    for (const json::Value ranges : ipam.member("ranges"))
      for (const json::Value range : ranges) {
        append_example(range.member("subnet"), addresses);
        break;  // the first of one family
      }
  }
  return addresses.empty() ? kExampleAddress : addresses;
}

Error without_ours(const json::Value& list) {
  std::string types;
  for (const json::Value plugin : list.member("plugins"))
    types += (types.empty() ? "" : ", ") + json::quoted(plugin.member("type").text());
  return invalid_input("the list has no plugin of type \"nft-port-mapper\"; it has " +
                       (types.empty() ? "none" : types));
}

// A single configuration with what the options say in place of its own.
std::string with_additions(const json::Value& config, const std::string& ports,
                           const std::string& result) {
  json::Writer out;
  out.begin_object();
  for (const json::Value member : config)
    if ((ports.empty() || member.key() != "runtimeConfig") &&
        (result.empty() || member.key() != "prevResult"))
      out.key(member.key()).raw(member.raw());
  if (!ports.empty()) out.key("runtimeConfig").raw(ports);
  if (!result.empty()) out.key("prevResult").raw(result);
  out.end_object();
  return std::move(out).text();
}

struct Additions {
  std::string ports;   // as runtimeConfig; empty: none
  std::string result;  // as prevResult; empty: none
};

Result<Additions> additions_of(const std::optional<std::string>& publish,
                               const std::optional<std::string>& address) {
  Additions additions;
  if (publish) {
    Result<std::string> ports = capability_arguments(*publish);
    if (!ports) return ports.error();
    additions.ports = *std::move(ports);
  }
  if (address) {
    Result<std::string> result = result_with(*address);
    if (!result) return result.error();
    additions.result = *std::move(result);
  }
  return additions;
}

Result<RenderInput> input_of_list(const json::Value& list, std::optional<std::string> publish,
                                  std::optional<std::string> address) {
  const json::Value ours = cni::find_plugin(list, cni::kOurType);
  if (!ours.present()) return without_ours(list);
  RenderInput input;
  if (!cni::has_capability(ours, "portMappings")) {
    input.notes.push_back(ours.path() +
                          " has no \"capabilities\": { \"portMappings\": true }, so a runtime hands"
                          " it no ports");
  } else if (!publish) {
    publish = kExamplePort;
    input.notes.push_back("without --publish, for example --publish=" + *publish);
  }
  if (!address) {
    address = example_addresses(list);
    input.notes.push_back("without --address, for example --address=" + *address);
  }
  const Result<Additions> additions = additions_of(publish, address);
  if (!additions) return additions.error();
  const std::string ports = additions->ports.empty() ? "{}" : additions->ports;
  const Result<json::Document> arguments = json::Document::parse(ports, "--publish");
  if (!arguments) return arguments.error();
  input.config = cni::plugin_input(list, ours, arguments->root(), additions->result);
  return input;
}

}  // namespace

Result<RenderInput> render_input(const std::string& text, const Arguments& arguments) {
  const Result<json::Document> document = json::Document::parse(text, "the configuration");
  if (!document) return RenderInput{text};
  const std::optional<std::string> publish = arguments.value("--publish");
  const std::optional<std::string> address = arguments.value("--address");
  if (cni::is_list(document->root())) return input_of_list(document->root(), publish, address);
  if (!publish && !address) return RenderInput{text};
  const Result<Additions> additions = additions_of(publish, address);
  if (!additions) return additions.error();
  return RenderInput{with_additions(document->root(), additions->ports, additions->result)};
}

}  // namespace portmapper::ctl
