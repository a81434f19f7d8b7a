#include "lib/app/port_wait.hpp"

#include <linux/netfilter/nfnetlink.h>

#include <cerrno>

#include "lib/app/publish.hpp"
#include "nft/read/release.hpp"

namespace portmapper::app {
namespace {

using Clock = std::chrono::steady_clock;

bool is_taken(const Result<Published>& published) {
  return !published && published.error().kind == ErrorKind::port_taken;
}

Result<Netlink> listen() {
  Result<Netlink> events = Netlink::open(NETLINK_NETFILTER);
  if (!events) return events;
  if (const Status joined = events->join(NFNLGRP_NFTABLES); !joined) return joined.error();
  return events;
}

// False: the time was over first.
Result<bool> wait_for_release(Netlink& events, const nft::Release& release,
                              Clock::time_point deadline) {
  for (;;) {
    bool freed = false;
    const Result<bool> came =
        events.wait(deadline, [&](const nlmsghdr& event) { freed = freed || release.in(event); });
    // Of events that were lost, one may have been ours.
    const bool lost =
        !came && (came.error().error_number == ENOBUFS || came.error().error_number == EMSGSIZE);
    if (freed || lost) return true;
    if (!came || !*came || Clock::now() >= deadline) return came ? Result<bool>(false) : came;
  }
}

Result<Published> try_until(Transport& transport, const nft::Plan& plan,
                            Clock::time_point deadline) {
  // Before the next try: what is freed after it makes an event.
  Result<Netlink> events = listen();
  if (!events) return events.error();
  const nft::Release release(plan);
  for (;;) {
    Result<Published> published = publish(transport, plan);
    if (!is_taken(published) || Clock::now() >= deadline) return published;
    const Result<bool> freed = wait_for_release(*events, release, deadline);
    if (!freed) return freed.error();
  }
}

}  // namespace

Result<Published> publish_or_wait(Transport& transport, const nft::Plan& plan,
                                  std::chrono::seconds limit) {
  Result<Published> published = publish(transport, plan);
  if (!is_taken(published) || limit.count() == 0) return published;
  published = try_until(transport, plan, Clock::now() + limit);
  if (!is_taken(published)) return published;
  Error error = published.error();
  error.what += " after waiting " + std::to_string(limit.count()) +
                (limit.count() == 1 ? " second" : " seconds");
  return error;
}

}  // namespace portmapper::app
