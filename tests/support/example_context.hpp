// Context: what the examples in the headers' opening comments use and need not declare.
//
//   struct Example : example::Context { example::Anything show() { /* an example */ } };
//
// tests/check/headers makes each example such a function, in the namespace of its header, and compiles it;
// nothing of this is ever run or linked. An example may declare a name of its own again. `use` stands for
// whatever a caller does with a value. A member serves more than one example, or an object that takes more
// than a line to make.
#pragma once

#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "lib/app/command_context.hpp"
#include "lib/app/ctl/table_contents.hpp"
#include "lib/app/doctor/doctor.hpp"
#include "lib/app/outcome.hpp"
#include "lib/base/attributes.hpp"
#include "lib/base/read_all.hpp"
#include "lib/base/write_all.hpp"
#include "lib/config/condition_words.hpp"
#include "lib/delegate/stderr_relay.hpp"
#include "lib/json/read.hpp"
#include "nft/decide.hpp"
#include "nft/foreign/walk.hpp"
#include "nft/read/reader.hpp"
#include "nft/rule_builder.hpp"
#include "nft/ruleset_diff.hpp"
#include "nft/userdata.hpp"

namespace portmapper::example {

// What an example returns, whatever it is.
struct Anything {
  template <typename T>
  Anything(const T&) {}  // NOLINT: everything is Anything
};

struct Context {
  template <typename... T>
  static void use(const T&...) {}

  // bytes, files and processes
  std::string text;
  std::string path;
  UniqueFd netlink_socket;
  int pipe_end;
  pid_t child;
  int error_number;
  Error error;

  // addresses and matches
  IpAddress address;
  std::vector<IpAddress> addresses;
  std::vector<IpPrefix> prefixes;
  Port port8080;
  Match match;
  std::vector<Match> matches;
  MatchValue one;
  MatchValue five;
  config::ConditionWord word;

  // netlink
  Transport& transport;
  Bytes requests;
  const nlmsghdr& reply;
  Attribute parent;

  // one call
  Attachment attachment;
  NetworkNamespace netns;
  const cni::Request& request;
  const config::NetConf& conf;
  json::Value root;
  json::Problems& problems;
  delegate::Runner& runner;
  delegate::StderrRelay& relay;
  std::string& log;
  const app::CommandContext& context;
  app::Outcome outcome;
  std::vector<std::string> notes;
  std::vector<Error> left_open;

  // the subcommands and the doctor
  std::vector<std::string> words;
  ctl::Arguments arguments;
  const ctl::TableContents& contents;
  doctor::RoutedPort port;
  std::vector<host::Device> devices;

  // the table
  nft::Plan plan;
  std::vector<const nft::Plan*> plans;
  nft::Snapshot snapshot;
  nft::Transaction transaction;
  nft::Occupancy occupancy;
  nft::InstalledPorts installed;
  nft::OwnerHash owner;
  nft::PublishedPort published;
  std::vector<nft::Hairpin> hairpins;
  std::vector<nft::Element> elements;
  nft::RulesetView view;
  nft::Messages& messages;
  nft::AnonymousSet set;
  std::uint32_t set_id;
  nft::RuleBuilder& rule;

  // other tables
  nft::foreign::Ruleset others;
  nft::foreign::Chain chain;
  nft::foreign::Packet packet;
  Bytes info;
};

}  // namespace portmapper::example
