// Facts: how ports, attachments and processes are written as JSON, the same in every command.
//
//   const Result<std::vector<ListedPort>> ports = list_ports(transport);
//   use(format_json(*ports));  // {"ports":[{"protocol":"tcp","hostAddress":"0.0.0.0",...}]}
//   json::Writer out;
//   write_port(out, ports->front());
//
// The names of the keys are in schemas/*.schema.json and stay; later versions may add some. What is not
// known is left out. Errors: none. Source: schemas/list.schema.json, schemas/owner.schema.json.
#pragma once

#include <string>
#include <vector>

#include "lib/app/ctl/listing.hpp"
#include "lib/host/listeners.hpp"
#include "lib/json/writer.hpp"

namespace portmapper::ctl {

void write_port(json::Writer& out, const ListedPort& port);
// Its members, into an object of the caller's: containerID, network, interface.
void write_attachment(json::Writer& out, const Attachment& attachment);
// Its members likewise: address, and process and pid where they are known.
void write_listener(json::Writer& out, const host::Listener& listener);
// An array of texts.
void write_texts(json::Writer& out, const std::vector<std::string>& texts);

// As schemas/list.schema.json says.
std::string format_json(const std::vector<ListedPort>& ports);

}  // namespace portmapper::ctl
