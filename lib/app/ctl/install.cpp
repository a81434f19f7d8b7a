#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/installation.hpp"
#include "lib/app/ctl/network_files.hpp"
#include "lib/app/ctl/stay.hpp"
#include "lib/base/escape.hpp"
#include "lib/base/netlink.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::ctl {
namespace {

Installation place_of(const Arguments& arguments) {
  return {.plugin = arguments.value("--plugin").value_or("/usr/lib/cni/nft-port-mapper"),
          .to = arguments.value("--to").value_or("/opt/cni/bin"),
          .list = arguments.words.empty() ? kNetworkDirectory : arguments.words.front(),
          .missing = arguments.has("--add") ? config::Missing::add : config::Missing::refuse,
          .is_elsewhere = arguments.has("--elsewhere")};
}

app::Outcome report(const std::vector<Error>& problems, const std::vector<std::string>& done,
                    const char* nothing) {
  app::Outcome outcome;
  for (const Error& problem : problems) {
    app::Outcome one = failure(problem);
    outcome.status = one.status;
    outcome.log += one.log;
  }
  for (const std::string& line : done) outcome.out += printable(line) + "\n";
  if (problems.empty() && done.empty()) outcome.out = nothing;
  return outcome;
}

app::Outcome uninstall_from(const Installation& place) {
  std::vector<std::string> done;
  const std::vector<Error> problems = take_away(place, done);
  return report(problems, done, "nothing of install is here\n");
}

// watch needs it: where it cannot be had, no list is to be changed.
Status has_nf_tables() {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return netlink.error();
  const Result<bool> has_table = nft::has_table(*netlink);
  return has_table ? Status() : Status(has_table.error());
}

// What comes from there cannot be written back.
bool is_standard_input(const Arguments& arguments) {
  return !arguments.words.empty() && arguments.words.front() == "-";
}

constexpr char kNoStandardInput[] =
    ": - is no list that could be changed; name a file, or a directory";

}  // namespace

app::Outcome install(const Arguments& arguments) {
  if (is_standard_input(arguments)) return wrong_usage("install" + std::string(kNoStandardInput));
  const Installation place = place_of(arguments);
  const bool leaves = arguments.has("--leave");
  if (arguments.has("--stay")) {
    Stay stay{.ready = has_nf_tables, .install = [place](std::vector<std::string>& done) {
                return put_in_place(place, done);
              }};
    if (leaves) stay.leave = [place] { return uninstall_from(place); };
    return stay_installed(std::move(stay));
  }
  if (leaves) return wrong_usage("install: --leave is for --stay");
  std::vector<std::string> done;
  const Status status = put_in_place(place, done);
  const std::vector<Error> problems =
      status ? std::vector<Error>() : std::vector<Error>{status.error()};
  return report(problems, done, "all is in place already\n");
}

app::Outcome uninstall(const Arguments& arguments) {
  if (is_standard_input(arguments)) return wrong_usage("uninstall" + std::string(kNoStandardInput));
  return uninstall_from(place_of(arguments));
}

}  // namespace portmapper::ctl
