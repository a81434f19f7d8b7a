#include "lib/app/ctl/facts.hpp"

namespace portmapper::ctl {
namespace {

void write_processes(json::Writer& out, const ListedPort& port) {
  if (port.processes.empty()) return;
  out.key("hostProcesses").begin_array();
  for (const app::HostProcess& process : port.processes) {
    out.begin_object();
    write_listener(out, process.listener);
    out.member("hidden", process.is_hidden).end_object();
  }
  out.end_array();
}

}  // namespace

void write_attachment(json::Writer& out, const Attachment& attachment) {
  out.member("containerID", attachment.container_id)
      .member("network", attachment.network)
      .member("interface", attachment.ifname);
}

void write_listener(json::Writer& out, const host::Listener& listener) {
  out.member("address", listener.address.to_string());
  if (listener.pid != 0) out.member("process", listener.process).member("pid", listener.pid);
}

void write_texts(json::Writer& out, const std::vector<std::string>& texts) {
  out.begin_array();
  for (const std::string& text : texts) out.string(text);
  out.end_array();
}

void write_port(json::Writer& out, const ListedPort& port) {
  out.begin_object()
      .member("protocol", to_string(port.published.protocol))
      .member("hostAddress", port.published.address.to_string())
      .member("hostPort", port.published.port.value())
      .member("here", port.is_here);
  if (port.endpoint)
    out.member("containerAddress", port.endpoint->address.to_string())
        .member("containerPort", port.endpoint->port.value());
  write_attachment(out, port.attachment);
  if (port.pod.is_known()) out.member("podName", port.pod.name);
  if (port.pod.is_known() && !port.pod.space.empty()) out.member("podNamespace", port.pod.space);
  out.member("chain", port.chain)
      .member("connections", static_cast<std::int64_t>(port.connections))
      .member("standby", port.standby)
      .member("alive", port.owner != nft::Liveness::dead)
      .member("state", to_string(port.owner));
  write_processes(out, port);
  out.end_object();
}

std::string format_json(const std::vector<ListedPort>& ports) {
  json::Writer out;
  out.begin_object().key("ports").begin_array();
  for (const ListedPort& port : ports) write_port(out, port);
  out.end_array().end_object();
  return std::move(out).text() + "\n";
}

}  // namespace portmapper::ctl
