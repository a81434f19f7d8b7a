#include "lib/app/ctl/ctl.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include "lib/app/columns.hpp"
#include "lib/app/ctl/commands.hpp"
#include "lib/base/escape.hpp"
#include "lib/host/sysctl.hpp"

namespace portmapper::ctl {
namespace {

constexpr char kProgram[] = "nft-port-mapperctl";

constexpr std::array kListOptions = {
    Option{"--json", "", "print JSON, as schemas/list.schema.json says"},
    Option{"--output", "FORMAT",
           "table, wide or json; short: -o. wide has more columns, and cuts nothing", "-o"},
    Option{"--columns", "NAMES", "these columns, as in --columns host,pod; cuts nothing"},
    Option{"--sort", "COLUMN", "sort by this column; with '-' before it, the highest first"},
    Option{"--quiet", "", "no headings, and only whole container IDs or --columns; short: -q",
           "-q"},
    Option{"--network", "NAME", "only ports of this network"},
    Option{"--container", "ID", "only ports of containers whose ID begins with ID"},
    Option{"--port", "PORT", "only this port, as in 8080 or 8080/tcp"},
    Option{"--state", "STATE", "only ports of containers that are alive, dead or unknown"},
    Option{"--no-trunc", "", "cut nothing, and do not shorten container IDs"},
    Option{"--watch", "SECONDS", "print the list again every SECONDS (2), until interrupted", "",
           "2"},
};
constexpr std::array kOwnerOptions = {
    Option{"--json", "", "print JSON, as schemas/owner.schema.json says"}};
constexpr std::array kDoctorOptions = {
    Option{"--from", "ADDRESS",
           "judge the way of this client; without it, of some that stand for all"},
    Option{"--no-probe", "", "try no connections, and set up no test client for them"},
    Option{"--json", "", "print JSON, as schemas/doctor.schema.json says"},
};
constexpr std::array kCheckOptions = {
    Option{"--repair", "", "repair in one batch what can be repaired"},
    Option{"--json", "", "print JSON, as schemas/check.schema.json says"},
};
constexpr std::array kPruneOptions = {
    Option{"--dry-run", "", "print what would be removed, and change nothing"},
    Option{"--json", "", "print JSON, as schemas/prune.schema.json says"},
};
constexpr std::array kReleaseOptions = {
    Option{"--network", "NAME", "only what it publishes by this network"},
    Option{"--ifname", "NAME", "only what it publishes by this interface"},
};
constexpr std::array kRestoreOptions = {
    Option{"--from", "DIR", "read only DIR: a libcni cache or a Mesos agent's directory"},
    Option{"--dry-run", "", "print what would be published, and change nothing"},
    Option{"--json", "", "print JSON, as schemas/restore.schema.json says"},
};
constexpr std::array kAdoptOptions = {
    Option{"--dry-run", "", "print what would be taken over, and change nothing"},
    Option{"--from", "DIR", "read only DIR: a libcni cache or a Mesos agent's directory"},
    Option{"--config", "DIR",
           "where the networks' configurations are; without it, the usual directories"},
    Option{"--json", "", "print JSON, as schemas/adopt.schema.json says"},
};
constexpr std::array kRenderOptions = {
    Option{"--container", "ID", "the container's ID; default example"},
    Option{"--ifname", "NAME", "the container's interface; default eth0"},
    Option{"--publish", "PORTS", "what the runtime publishes, as 8080:80/tcp,5353:53/udp"},
    Option{"--address", "ADDRESSES", "the container's, as 10.22.0.2/16,fd00::2/64"},
};
constexpr std::array kTraceOptions = {
    Option{"--from", "ADDRESS", "only packets of this client"},
    Option{"--count", "N", "stop after N packets that begin a connection; default 1"},
    Option{"--json", "", "print JSON, as schemas/trace.schema.json says"},
};
constexpr std::array kMetricsOptions = {
    Option{"--output", "FILE", "replace FILE at once, and print nothing; -: print; short: -o",
           "-o"},
    Option{"--totals", "", "totals alone: no series for each port"},
};
constexpr std::array kWatchOptions = {
    Option{"--metrics", "FILE", "keep FILE as metrics --output writes it"},
    Option{"--totals", "", "in FILE, totals alone: no series for each port"},
};
constexpr std::array kLintOptions = {
    Option{"--json", "", "print JSON, as schemas/lint.schema.json says"}};
// As many files as a directory may have.
constexpr std::size_t kManyWords = 1000000;
constexpr Option kPluginOption{"--plugin", "FILE",
                               "the plugin's file; default /usr/lib/cni/nft-port-mapper"};
constexpr Option kToOption{"--to", "DIR",
                           "where the runtime looks for plugins; default /opt/cni/bin"};
constexpr std::array kInstallOptions = {
    kPluginOption,
    kToOption,
    Option{"--add", "", "put an entry behind the last plugin of a list without portmap"},
    Option{"--elsewhere", "", "the list's other plugins are in another directory than --to"},
    Option{"--stay", "", "then run watch, and look every 10 seconds whether all is still in place"},
    Option{"--leave", "", "with --stay: uninstall at SIGTERM, SIGINT or SIGHUP, and end then"},
};
constexpr std::array kUninstallOptions = {kPluginOption, kToOption};
constexpr std::array kFlushOptions = {
    Option{"--network", "NAME", "remove only the ports and the chain of this network"},
    Option{"--yes", "", "do not ask"},
};

constexpr std::array kSubcommands = {
    Subcommand{
        "list", "[OPTION...]", "show every published port of this host",
        "Shows protocol, host address and port, the container address and port it leads to,\n"
        "container, network, the new connections since the port was published, and whether\n"
        "the container is alive, dead or unknown: unknown is what nobody can tell from here.\n"
        "0.0.0.0 and [::] are any address of the host. Names and addresses are cut so that a\n"
        "line has 80 characters, or as many as the terminal is wide. If no port is of the\n"
        "network, container, port or state that was asked for, the exit status is 1.\n"
        "\n"
        "Columns: proto, host, endpoint, container, network, connections, state, interface,\n"
        "chain, namespace and pod (as Kubernetes or podman named them), here (whether the host\n"
        "has the address now), processes (of the host, that listen there), and port.\n"
        "\n"
        "'ls' is the same as 'list'.\n",
        kListOptions, 0, list, "ls"},
    Subcommand{"owner", "[OPTION...] PORT[/PROTOCOL] [ADDRESS]", "show who publishes a port",
               "Says which container publishes a port of the host, at ADDRESS or at any address. ss"
               " shows\n"
               "no listener for it: the kernel translates the packet before it looks for a socket."
               " If\n"
               "nobody publishes it, the exit status is 1, and a process of the host that listens"
               " there\n"
               "is named.\n",
               kOwnerOptions, 2, owner},
    Subcommand{
        "check", "[OPTION...]", "check the table for damage",
        "Checks that the three elements of every published port agree, that no owner is\n"
        "dead, that skeleton and network chains are intact, and that the guard exists"
        " where\n"
        "route_localnet is set; and whether those who have ipMasq are masqueraded. Prints every\n"
        "finding.\n",
        kCheckOptions, 0, check},
    Subcommand{"prune", "[OPTION...]", "remove ports of containers that are dead",
               "Removes the ports of attachments that are proven dead: their network namespace is"
               " gone, or\n"
               "nothing is left in it. Names those of which nobody can tell from here; they stay,"
               " and the exit\n"
               "status is 1.\n",
               kPruneOptions, 0, prune},
    Subcommand{
        "release", "CONTAINER [OPTION...]", "free the ports of one container by hand",
        "Removes the ports of one container, alive or not, as its DEL would, and ends its"
        " masquerading.\n"
        "CONTAINER is the whole ID. The container keeps running. If it has neither, the exit status"
        " is 1.\n",
        kReleaseOptions, 1, release},
    Subcommand{"restore", "[OPTION...]", "publish again what a flush removed",
               "Rebuilds the table from what the runtimes have on record: libcni's cache\n"
               "(/var/lib/cni/results, which podman, containerd and Nomad use) and the Mesos"
               " agent's\n"
               "checkpoints. Restores only attachments whose network namespace still exists and"
               " still has\n"
               "their address. Does not change ports that are published already. Files that cannot"
               " be read\n"
               "are named; the others are restored.\n",
               kRestoreOptions, 0, restore},
    Subcommand{"adopt", "[OPTION...]", "take over what portmap publishes, without downtime",
               "Publishes the ports that portmap's rules publish, as libcni's cache has them on"
               " record, and then\n"
               "removes these rules. Connections go on, and none is refused meanwhile. Change the"
               " type in the\n"
               "configuration first, so that the next DEL comes to nft-port-mapper. What cannot be"
               " taken over is\n"
               "named with the reason and left alone; then the exit status is 1. Rules of"
               " iptables-legacy are left.\n",
               kAdoptOptions, 0, adopt},
    Subcommand{"render", "[OPTION...] [CONFIG.json|-]",
               "print what an ADD would put into the kernel",
               "Reads a network configuration with prevResult and port mappings, as the plugin"
               " reads it,\n"
               "and prints an nft script that does what an ADD would do. Of a list (.conflist) it"
               " takes the\n"
               "plugin's part, with the ports and addresses of the options or, without, of an"
               " example.\n"
               "Changes nothing.\n",
               kRenderOptions, 1, render},
    Subcommand{"lint", "[OPTION...] [FILE...]", "find mistakes in configuration files",
               "Reads lists and single configurations; - is standard input, and without FILE it"
               " reads those\n"
               "of /etc/cni/net.d. Says where a key is misspelt, what keeps ports from being"
               " published, and\n"
               "what an ADD refuses. The exit status is 1 if anything is found, 3 if a file cannot"
               " be read.\n"
               "Changes nothing.\n",
               kLintOptions, kManyWords, lint},
    Subcommand{
        "doctor", "[OPTION...] [PORT[/PROTOCOL]]", "find out why published ports do not work",
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
    Subcommand{"trace", "[OPTION...] PORT[/PROTOCOL]",
               "show which rules a connection to a port meets",
               "Waits for a packet that begins a connection to the port, and shows its way through"
               " this\n"
               "host: each hook and chain, each rule that it fulfilled, with the verdict, the"
               " addresses after\n"
               "a translation, its answer's way, and what became of it. Ends after --count packets,"
               " after two\n"
               "minutes, or with Ctrl-C. If a packet did not get through, or none came, the exit"
               " status is 1.\n",
               kTraceOptions, 1, trace},
    Subcommand{
        "install", "[OPTION...] [FILE|DIR]", "put the plugin into a runtime's directories",
        "Copies the plugin into a directory of plugins, and names it in a list of plugins in the"
        " place of\n"
        "portmap: the file FILE, or the first one in DIR (/etc/cni/net.d), which runtimes of"
        " Kubernetes\n"
        "use. Everything else in the list stays byte for byte; what it was is kept beside it, in"
        " a file\n"
        "that no runtime reads. Files are replaced whole. Containers that run already keep what"
        " published\n"
        "their ports.\n",
        kInstallOptions, 1, install},
    Subcommand{
        "uninstall", "[OPTION...] [FILE|DIR]", "undo install",
        "Makes the list FILE, or those in DIR (/etc/cni/net.d), what they were before install:"
        " the same\n"
        "bytes, or where somebody changed a list since, that list with its former plugin."
        " Removes the\n"
        "plugin's file if it is the one that install copied and neither a list nor a container"
        " needs it.\n",
        kUninstallOptions, 1, uninstall},
    Subcommand{
        "metrics", "[OPTION...]", "print figures for Prometheus",
        "Prints the number of published ports and of their owners, alive, dead or unknown, the"
        " ports that\n"
        "others stand by for, what check finds, exposed interfaces, how long it took to read"
        " that, and the\n"
        "new connections of each port, as text that Prometheus, node_exporter's textfile"
        " collector and\n"
        "OpenMetrics read. What it finds does not change the exit status. Changes nothing of"
        " the host.\n",
        kMetricsOptions, 0, metrics},
    Subcommand{
        "watch", "[OPTION...]", "repair the table whenever somebody damages it",
        "Waits for changes of nftables. Where the table, or a part of it, is damaged or gone, it"
        " publishes\n"
        "the ports again within a second, as restore does, and repairs what check --repair repairs"
        " but for\n"
        "what nobody owns. It looks each second whether 127.0.0.1 and ::1 still reach their ports."
        " What our\n"
        "own programs do, it leaves alone. A line tells each repair. It ends with status 0 when it"
        " gets\n"
        "SIGTERM or SIGINT, and with status 1 when it repaired the same thing three times within a"
        " minute.\n",
        kWatchOptions, 0, watch},
    Subcommand{"flush", "[OPTION...]", "remove the table, or the ports of one network",
               "Removes the tables, and resets route_localnet on the interfaces towards the"
               " containers.\n"
               "Nobody is masqueraded (ipMasq) after that either. With --network it removes only "
               "the ports,"
               " the\n"
               "chain and the masquerading of that network. It says what it would remove, and "
               "asks. Where standard input is no terminal it wants --yes.\n",
               kFlushOptions, 0, flush},
    Subcommand{
        "version", "", "show the version", "Shows the version of this program.\n", {}, 0, version},
    Subcommand{"help",
               "[COMMAND]",
               "explain a command",
               "Explains a command, as COMMAND --help does, or lists all of them.\n",
               {},
               1,
               help},
};

const Subcommand* find_command(const std::string& name) {
  const auto* found =
      std::find_if(kSubcommands.begin(), kSubcommands.end(), [&name](const Subcommand& s) {
        return s.name == name || (!s.alias.empty() && s.alias == name);
      });
  return found == kSubcommands.end() ? nullptr : found;
}

std::string usage() {
  std::string text =
      std::string("Usage: ") + kProgram +
      " COMMAND [OPTION...]\n"
      "\n"
      "Shows and repairs the container ports that nft-port-mapper published on this host.\n"
      "\n"
      "Commands:\n";
  for (const Subcommand& command : kSubcommands)
    text += "  " + std::string(command.name) + std::string(11 - command.name.size(), ' ') +
            std::string(command.summary) + "\n";
  return text +
         "\n"
         "COMMAND --help explains a command. The exit status is 0 if all is well or what was asked"
         " for\n"
         "was found; 1 if there is a problem, or nobody has what was asked for; 2 for wrong usage;"
         " 3 if\n"
         "it could not look, because it is not root or the kernel has no nf_tables.\n"
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

app::Outcome unknown_command(const std::string& name) {
  std::vector<std::string_view> names;
  names.reserve(std::size(kSubcommands));
  for (const Subcommand& command : kSubcommands) names.push_back(command.name);
  return wrong_usage("there is no command '" + printable(name) + "'" + did_you_mean(name, names));
}

}  // namespace

app::Outcome failure(const Error& error) {
  app::Outcome outcome;
  outcome.status = kProblem;
  outcome.log = std::string(kProgram) + ": " + printable(error.message()) + "\n";
  const int number = error.error_number;
  // With the capability, what is refused is another thing: a file may be immutable.
  if (number == EPERM && !host::may_administer_network())
    outcome.log += "It needs CAP_NET_ADMIN: run it as root.\n";
  if (number == EPROTONOSUPPORT || number == EAFNOSUPPORT || number == EOPNOTSUPP)
    outcome.log +=
        "The kernel has no nf_tables, or its module is not loaded: modprobe nf_tables.\n";
  return outcome;
}

app::Outcome could_not_look(const Error& error) {
  app::Outcome outcome = failure(error);
  outcome.status = kCouldNotLook;
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

app::Outcome help(const Arguments& arguments) {
  app::Outcome outcome;
  if (arguments.words.empty()) {
    outcome.out = usage();
    return outcome;
  }
  const Subcommand* const command = find_command(arguments.words.front());
  if (command == nullptr) return unknown_command(arguments.words.front());
  outcome.out = help_of(*command);
  return outcome;
}

app::Outcome run_ctl(std::span<const std::string> words, const Screen& screen) {
  app::Outcome outcome;
  if (words.empty()) {
    outcome.status = kWrongUsage;
    outcome.log = usage();
    return outcome;
  }
  const std::string& name = words.front();
  const std::span<const std::string> rest = words.subspan(1);
  if (name == "--version") return version({});
  if (name == "--help" || name == "-h") return help({});
  const Subcommand* const command = find_command(name);
  if (command == nullptr) return unknown_command(name);
  if (std::any_of(rest.begin(), rest.end(),
                  [](const std::string& word) { return word == "--help" || word == "-h"; })) {
    outcome.out = help_of(*command);
    return outcome;
  }
  Result<Arguments> arguments = parse_arguments(rest, command->options, command->most_words);
  if (arguments) {
    arguments->screen = screen;
    return command->run(*arguments);
  }
  outcome.status = kWrongUsage;
  outcome.log = std::string(kProgram) + " " + std::string(command->name) + ": " +
                arguments.error().message() + "\n\n" + help_of(*command);
  return outcome;
}

}  // namespace portmapper::ctl
