// What trace has to know besides the trace's own events.
//
//   Result<trace::Known> known = read_publishers(transport, Protocol::tcp, port8080);
//   const trace::Story story{.number = 1, .request = trace::Packet()};
//   if (known) learn_about(transport, story, *known);  // the rules' texts, devices, listeners
//
// Read when the packet has gone: a rule that was deleted meanwhile has no text, and what cannot be
// read is left out, since the way itself is known. Errors: of read_publishers, those of the listing.
// Does not promise: a picture of one moment. Source: nft/trace/rule_text, lib/host/listeners.
#pragma once

#include "lib/app/trace/story.hpp"
#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"
#include "lib/base/port.hpp"

namespace portmapper::ctl {

Result<trace::Known> read_publishers(Transport& transport, Protocol protocol, Port port);
void learn_about(Transport& transport, const trace::Story& story, trace::Known& known);

}  // namespace portmapper::ctl
