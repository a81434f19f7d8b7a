// Standard input of every command, one after the other, in the kernel: the whole plugin but for
// processes. What ADD published, CHECK finds as it was and DEL removes.
#include "lib/app/plugin/plugin.hpp"
#include "nft/commit.hpp"
#include "nft/read/reader.hpp"
#include "nft/transaction.hpp"
#include "tests/fuzz/own_network.hpp"

using namespace portmapper;
using namespace portmapper::app;
using namespace portmapper::nft;
using namespace portmapper::plugin;
using namespace portmapper::fuzz;

namespace {

// Whether it succeeded, or has no such command in the input's version.
bool call(const char* command, const std::string& input) {
  const auto environment = [command](const char* name) -> const char* {
    const std::string_view variable(name);
    if (variable == "CNI_COMMAND") return command;
    if (variable == "CNI_CONTAINERID") return "abc";
    if (variable == "CNI_IFNAME") return "eth0";
    if (variable == "CNI_NETNS") return "/proc/self/ns/net";
    return "/nowhere";
  };
  const Outcome outcome = run_plugin(environment, [&input] { return Result<std::string>(input); });
  demand_printable(outcome.log, true);
  if (outcome.status != 0 || !outcome.out.empty()) demand_json(outcome.out);
  return outcome.status == 0 || outcome.out.find("\"code\":104") != std::string::npos;
}

void remove_table(Netlink& netlink) {
  Transaction transaction;
  transaction.operations.emplace_back(DeleteTable{});
  const Status removed = to_status(commit(netlink, transaction), transaction);
  demand(static_cast<bool>(removed), "the table is removed");
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  return enter_own_network();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string input(text_of(data, size));
  call("VERSION", input);
  call("STATUS", input);
  const bool added = call("ADD", input);
  const bool checked = call("CHECK", input);
  demand(checked || !added, "CHECK finds what ADD made", input);
  const bool deleted = call("DEL", input);
  demand(deleted || !added, "DEL removes what ADD made", input);
  call("GC", input);
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  const Result<bool> exists = has_table(*netlink);
  if (!exists || !*exists) return 0;
  const Result<std::vector<OwnerEntry>> left = read_owners(*netlink);
  demand(left && (left->empty() || !deleted), "nothing is left", input);
  remove_table(*netlink);
  return 0;
}
