#include "lib/app/call.hpp"

#include "lib/config/delegate_input.hpp"
#include "nft/names.hpp"

namespace portmapper {

std::string Call::chain() const {
  if (conf.chain) return *conf.chain;
  const bool needs_its_own =
      !conf.exclude_devices.empty() || !conf.conditions_v4.empty() || !conf.conditions_v6.empty();
  return needs_its_own ? derived_chain(conf.name) : kSharedChain;
}

Result<std::string> delegate(const Call& call, Command command, const std::string* prev_result) {
  if (!call.conf.delegate) return std::string();
  const Delegate& plugin = *call.conf.delegate;
  std::string input;
  if (prev_result != nullptr) input = with_prev_result(plugin.input, *prev_result);
  return call.runner.run({.type = plugin.type,
                          .command = to_string(command),
                          .input = prev_result != nullptr ? input : plugin.input,
                          .time_limit = call.conf.delegate_timeout});
}

}  // namespace portmapper
