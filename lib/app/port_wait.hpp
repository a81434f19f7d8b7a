// publish_or_wait: publish, which waits for a port that another living container has.
//
//   const Result<Published> published = publish_or_wait(transport, plan, std::chrono::seconds(5));
//
// A successor's ADD may come before its predecessor's DEL. It is tried again when the kernel says
// that an owner entry of one of its ports was deleted, and once more when the time is over, since a
// container that dies without a DEL makes no event. Without a conflict it is publish and nothing
// more; every other error is returned at once. Nothing is published, and nothing kept, while it
// waits. Units: seconds; 0: it does not wait. Errors: those of publish; port_taken names the time
// waited. Does not promise: that whoever waits longest comes first. Source: packaging/doc/design.md,
// "Waiting for a port".
#pragma once

#include <chrono>

#include "lib/app/publish.hpp"
#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"
#include "nft/plan.hpp"

namespace portmapper::app {

Result<Published> publish_or_wait(Transport& transport, const nft::Plan& plan,
                                  std::chrono::seconds limit);

}  // namespace portmapper::app
