#include "lib/app/ctl/ctl.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include "lib/app/columns.hpp"
#include "lib/app/ctl/commands.hpp"
#include "lib/base/escape.hpp"

namespace portmapper::ctl {
namespace {

constexpr char kProgram[] = "nft-port-mapperctl";

constexpr std::array kListOptions = {
    Option{"--json", "", "print JSON, as schemas/list.schema.json says"},
    Option{"--network", "NAME", "only ports of this network"},
    Option{"--container", "ID", "only ports of containers whose ID begins with ID"},
    Option{"--no-trunc", "", "do not shorten container IDs"},
    Option{"--watch", "", "print the list again every two seconds, until interrupted"},
};
constexpr std::array kDoctorOptions = {
    Option{"--from", "ADDRESS",
           "judge the way of this client; without it, of some that stand for all"},
    Option{"--no-probe", "", "try no connections, and set up no test client for them"},
};
constexpr std::array kCheckOptions = {
    Option{"--repair", "", "repair in one batch what can be repaired"}};
constexpr std::array kPruneOptions = {
    Option{"--dry-run", "", "print what would be removed, and change nothing"}};
constexpr std::array kReleaseOptions = {
    Option{"--network", "NAME", "only what it publishes by this network"},
    Option{"--ifname", "NAME", "only what it publishes by this interface"},
};
constexpr std::array kRestoreOptions = {
    Option{"--from", "DIR", "read only DIR: a libcni cache or a Mesos agent's directory"},
    Option{"--dry-run", "", "print what would be published, and change nothing"},
};
constexpr std::array kRenderOptions = {
    Option{"--container", "ID", "the container's ID; default example"},
    Option{"--ifname", "NAME", "the container's interface; default eth0"},
};
constexpr std::array kFlushOptions = {
    Option{"--network", "NAME", "remove only the ports and the chain of this network"}};

constexpr std::array kSubcommands = {
    Subcommand{
        "list", "[OPTION...]", "show every published port of this host",
        "Shows protocol, host address and port, the container address and port it leads to,\n"
        "container, network, the new connections since the port was published, and whether\n"
        "the container is alive, dead or unknown: unknown is what nobody can tell from here.\n"
        "0.0.0.0 and [::] are any address of the host.\n",
        kListOptions, 0, list},
    Subcommand{"owner",
               "PORT[/PROTOCOL] [ADDRESS]",
               "show who publishes a port",
               "Says which container publishes a port of the host, at ADDRESS or at any address. ss"
               " shows\n"
               "no listener for it: the kernel translates the packet before it looks for a socket."
               " If\n"
               "nobody publishes it, the exit status is 1, and a process of the host that listens"
               " there\n"
               "is named.\n",
               {},
               2,
               owner},
    Subcommand{"check", "[--repair]", "check the table for damage",
               "Checks that the three elements of every published port agree, that no owner is\n"
               "dead, that skeleton and network chains are intact, and that the guard exists"
               " where\n"
               "route_localnet is set. Prints every finding.\n",
               kCheckOptions, 0, check},
    Subcommand{"prune", "[--dry-run]", "remove ports of containers that are dead",
               "Removes the ports of attachments that are proven dead: their network namespace is"
               " gone, or\n"
               "nothing is left in it. Names those of which nobody can tell from here; they stay,"
               " and the exit\n"
               "status is 1.\n",
               kPruneOptions, 0, prune},
    Subcommand{
        "release", "CONTAINER [OPTION...]", "free the ports of one container by hand",
        "Removes the ports of one container, alive or not, as its DEL would. CONTAINER is the"
        " whole ID.\n"
        "The container keeps running. If it publishes nothing, the exit status is 1.\n",
        kReleaseOptions, 1, release},
    Subcommand{"restore", "[OPTION...]", "publish again what a flush removed",
               "Rebuilds the table from what the runtimes have on record: libcni's cache\n"
               "(/var/lib/cni/results, which podman, containerd, CRI-O and Nomad use) and the Mesos"
               " agent's\n"
               "checkpoints. Restores only attachments whose network namespace still exists and"
               " still has\n"
               "their address. Does not change ports that are published already. Files that cannot"
               " be read\n"
               "are named; the others are restored.\n",
               kRestoreOptions, 0, restore},
    Subcommand{"render", "[CONFIG.json|-]", "print what an ADD would put into the kernel",
               "Reads a network configuration with prevResult and port mappings, as the plugin"
               " reads it,\n"
               "and prints an nft script that does what an ADD would do. Changes nothing.\n",
               kRenderOptions, 1, render},
    Subcommand{
        "doctor", "[PORT[/PROTOCOL]] [OPTION...]", "find out why published ports do not work",
        "Follows the packets of every published port, or of PORT alone: privileges, kernel, our own"
        " table,\n"
        "the rules of other tables, sysctls, routes, interfaces, and what is inside the container's"
        " network\n"
        "namespace. Last it tries a connection to each port, from the host and from a test client"
        " that has a\n"
        "network namespace of its own, which goes with it. Each finding says what it is, why it"
        " matters, and\n"
        "which command repairs it. A problem prevents ports from working, or is dangerous. A note"
        " may do so on\n"
        "some hosts. Changes nothing.\n",
        kDoctorOptions, 1, doctor},
    Subcommand{"flush", "[--network NAME]", "remove the table, or the ports of one network",
               "Removes the table, and resets route_localnet on the interfaces towards the"
               " containers.\n"
               "With --network it removes only the ports and the chain of that network.\n",
               kFlushOptions, 0, flush},
    Subcommand{
        "version", "", "show the version", "Shows the version of this program.\n", {}, 0, version},
};

std::string usage() {
  std::string text =
      std::string("Usage: ") + kProgram +
      " COMMAND [OPTION...]\n"
      "\n"
      "Shows and repairs the container ports that nft-port-mapper published on this host.\n"
      "\n"
      "Commands:\n";
  for (const Subcommand& command : kSubcommands)
    text += "  " + std::string(command.name) + std::string(10 - command.name.size(), ' ') +
            std::string(command.summary) + "\n";
  return text +
         "\n"
         "COMMAND --help explains a command. The exit status is 0, 1 if a problem was found,"
         " 2 for wrong usage.\n"
         "The table itself: nft list table inet nft-port-mapper\n";
}

std::string help_of(const Subcommand& command) {
  std::string text = std::string("Usage: ") + kProgram + " " + std::string(command.name);
  if (!command.synopsis.empty()) text += " " + std::string(command.synopsis);
  text += "\n\n";
  text += std::string(command.description);
  if (!command.options.empty()) text += "\n" + describe_options(command.options);
  return text;
}

}  // namespace

std::span<const Subcommand> subcommands() {
  return kSubcommands;
}

app::Outcome failure(const Error& error) {
  app::Outcome outcome;
  outcome.status = kProblem;
  outcome.log = std::string(kProgram) + ": " + printable(error.message()) + "\n";
  if (error.error_number == EPERM) outcome.log += "It needs CAP_NET_ADMIN: run it as root.\n";
  return outcome;
}

std::string log_lines(const std::vector<std::string>& notes) {
  std::string text;
  for (const std::string& note : notes)
    text += std::string(kProgram) + ": " + printable(note) + "\n";
  return text;
}

app::Outcome wrong_usage(const std::string& what) {
  app::Outcome outcome;
  outcome.status = kWrongUsage;
  outcome.log = std::string(kProgram) + ": " + what + "\n\n" + usage();
  return outcome;
}

app::Outcome version(const Arguments&) {
  app::Outcome outcome;
  outcome.out = std::string(kProgram) + " " NFT_PORT_MAPPER_VERSION "\n";
  return outcome;
}

app::Outcome run_ctl(std::span<const std::string> words) {
  app::Outcome outcome;
  if (words.empty()) {
    outcome.status = kWrongUsage;
    outcome.log = usage();
    return outcome;
  }
  const std::string& name = words.front();
  const std::span<const std::string> rest = words.subspan(1);
  if (name == "--version") return version({});
  if (name == "--help" || name == "-h") {
    outcome.out = usage();
    return outcome;
  }
  const auto* command = std::find_if(kSubcommands.begin(), kSubcommands.end(),
                                     [&name](const Subcommand& s) { return s.name == name; });
  if (command == kSubcommands.end()) return wrong_usage("there is no command '" + name + "'");
  if (std::find(rest.begin(), rest.end(), "--help") != rest.end()) {
    outcome.out = help_of(*command);
    return outcome;
  }
  const Result<Arguments> arguments = parse_arguments(rest, command->options, command->most_words);
  if (arguments) return command->run(*arguments);
  outcome.status = kWrongUsage;
  outcome.log = std::string(kProgram) + " " + name + ": " + arguments.error().message() + "\n\n" +
                help_of(*command);
  return outcome;
}

}  // namespace portmapper::ctl
