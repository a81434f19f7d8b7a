// What the tests of net_config have in common: one that is taken, and the complaint about one that
// is not.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "lib/config/net_config.hpp"

namespace portmapper::config {

inline NetConf parsed(std::string_view text, cni::Command command) {
  Result<NetConf> conf = parse_net_conf(text, command);
  REQUIRE_MESSAGE(conf, conf.error().message());
  return *std::move(conf);
}

inline std::string error_of(std::string_view text, cni::Command command = cni::Command::add) {
  const Result<NetConf> conf = parse_net_conf(text, command);
  if (conf) return "no error";
  CHECK(conf.error().kind == ErrorKind::invalid_input);
  return conf.error().message();
}

}  // namespace portmapper::config
