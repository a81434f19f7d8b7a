#include <algorithm>
#include <charconv>

#include "lib/app/columns.hpp"
#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/listed_processes.hpp"
#include "lib/app/ctl/listing.hpp"
#include "lib/app/ctl/missing.hpp"
#include "lib/base/escape.hpp"

namespace portmapper::ctl {
namespace {

struct Question {
  Protocol protocol;
  Port port;
  std::optional<IpAddress> address;
};

Result<Question> parse_question(const std::vector<std::string>& words) {
  if (words.empty()) return invalid_input("owner needs a port: owner 8080/tcp");
  const std::string& word = words.front();
  const std::size_t slash = word.find('/');
  const auto protocol =
      slash == std::string::npos ? Protocol::tcp : parse_protocol(word.substr(slash + 1));
  const std::string digits = word.substr(0, slash);
  int number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const auto port = error == std::errc() && end == digits.data() + digits.size()
                        ? Port::from(number)
                        : std::nullopt;
  if (!protocol || !port)
    return invalid_input(
        "'" + word +
        "' is not PORT/PROTOCOL, for example 8080/tcp; the protocols are tcp, udp and sctp");
  Question question{*protocol, *port, std::nullopt};
  if (words.size() > 1) {
    question.address = IpAddress::parse(words[1]);
    if (!question.address) return invalid_input("'" + words[1] + "' is not an IP address");
    question.address = question.address->unmapped();
  }
  return question;
}

bool answers(const nft::PublishedPort& published, const Question& question) {
  if (published.protocol != question.protocol || published.port != question.port) return false;
  if (!question.address) return true;
  const IpAddress& address = published.address;
  return address == *question.address ||
         (address.is_any() && address.family() == question.address->family());
}

// One address wins over any.
void keep_winner(std::vector<ListedPort>& ports, const Question& question) {
  if (!question.address) return;
  const bool exact = std::any_of(ports.begin(), ports.end(), [](const ListedPort& port) {
    return !port.published.address.is_any();
  });
  if (exact && !question.address->is_any())
    std::erase_if(ports, [](const ListedPort& port) { return port.published.address.is_any(); });
}

std::string sentence(const ListedPort& port) {
  const Attachment& owner = port.attachment;
  const std::string who = "container " + printable(owner.container_id) + " of network " +
                          printable(owner.network) + " (" + printable(owner.ifname) + ")";
  std::string text = "for " + to_string(port.published) + " stands by " + who +
                     (port.endpoint ? ", to lead it to " + to_string(*port.endpoint) : "");
  if (!port.standby) text = to_string(port.published) + " is published by " + who;
  if (!port.standby)
    text +=
        port.endpoint ? " and leads to " + to_string(*port.endpoint) : "; its target is missing";
  if (port.owner == nft::Liveness::dead)
    text += "; that container is dead; run nft-port-mapperctl prune";
  if (port.owner == nft::Liveness::unknown)
    text += "; nobody can tell from here whether that container lives";
  return text + ".\n";
}

// Of those that listen on another address than the question's, nothing.
std::string processes_of(const ListedPort& port, const Question& question) {
  std::string text;
  for (const app::HostProcess& process : port.processes) {
    const IpAddress& address = process.listener.address;
    if (question.address && !question.address->is_any() && !address.is_any() &&
        address != *question.address)
      continue;
    text += app::sentence(process) + ".\n";
  }
  return text;
}

// Who would publish the port, had nobody removed our table: its ADD did.
std::string former_owners(Transport& transport, const Question& question) {
  std::string text;
  for (const Missing& missing : find_missing(transport))
    for (const nft::PublishedPort& published : missing.ports) {
      if (!answers(published, question)) continue;
      text += to_string(published) + " was published by " + printable(missing.attachment) +
              ", which lives; nft-port-mapperctl restore publishes it again.\n";
    }
  return text;
}

// conmon too: whoever wants the port finds it taken.
std::string nobody(const Question& question, std::vector<std::string>& notes) {
  const std::string port =
      std::to_string(question.port.value()) + "/" + std::string(to_string(question.protocol));
  std::string text = "nobody publishes " + port +
                     (question.address ? " on " + question.address->to_string() : "") + ".\n";
  const nft::PublishedPort wanted[] = {
      {IpAddress::any(Family::ipv4), question.protocol, question.port}};
  Result<std::vector<host::Listener>> listeners = app::listeners_on(wanted);
  if (!listeners) {
    notes.push_back(listeners.error().message());
    return text;
  }
  host::name_processes(*listeners);
  for (const host::Listener& listener : *listeners)
    text += app::name_of(listener) + " listens on " + app::place_of(listener) + ".\n";
  return text;
}

}  // namespace

app::Outcome owner(const Arguments& arguments) {
  const Result<Question> question = parse_question(arguments.words);
  if (!question) return wrong_usage(question.error().message());
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return failure(netlink.error());
  Result<std::vector<ListedPort>> ports = list_ports(*netlink);
  if (!ports) return failure(ports.error());
  std::erase_if(*ports,
                [&](const ListedPort& port) { return !answers(port.published, *question); });
  keep_winner(*ports, *question);
  std::vector<std::string> notes;
  if (const Status found = find_host_processes(*netlink, *ports); !found)
    notes.push_back(found.error().message());
  app::Outcome outcome;
  for (const ListedPort& port : *ports) outcome.out += sentence(port);
  for (const ListedPort& port : *ports) outcome.out += processes_of(port, *question);
  if (ports->empty()) {
    outcome.status = kProblem;
    outcome.out = nobody(*question, notes) + former_owners(*netlink, *question);
  }
  outcome.log = log_lines(notes);
  return outcome;
}

}  // namespace portmapper::ctl
