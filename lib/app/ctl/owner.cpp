#include <algorithm>

#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/facts.hpp"
#include "lib/app/ctl/listed_processes.hpp"
#include "lib/app/ctl/missing.hpp"
#include "lib/app/ctl/service.hpp"
#include "lib/app/lost_claims.hpp"
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
  const Result<Service> service = parse_service(words.front());
  if (!service) return service.error();
  Question question{service->protocol.value_or(Protocol::tcp), service->port, std::nullopt};
  if (words.size() > 1) {
    question.address = IpAddress::parse(words[1]);
    if (!question.address)
      return invalid_input("'" + printable(words[1]) + "' is not an IP address");
    question.address = question.address->unmapped();
  }
  return question;
}

bool is_asked_for(const nft::PublishedPort& published, const Question& question) {
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

// "; pod nginx of namespace default"
std::string text_of(const Pod& pod) {
  if (!pod.is_known()) return "";
  return "; pod " + pod.name + (pod.space.empty() ? "" : " of namespace " + pod.space);
}

std::string sentence(const ListedPort& port) {
  const Attachment& owner = port.attachment;
  const std::string who = "container " + printable(owner.container_id) + " of network " +
                          printable(owner.network) + " (" + printable(owner.ifname) +
                          text_of(port.pod) + ")";
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

// Who would publish a port, had nobody removed our table: its ADD did.
struct FormerOwner {
  nft::PublishedPort published;
  Attachment attachment;
};

// What the answer is made of. Nobody publishes the port: who listens there, conmon too, since whoever
// wants the port finds it taken.
struct Answer {
  std::vector<ListedPort> publishers;
  std::vector<host::Listener> listeners;
  std::vector<FormerOwner> former_owners;
  std::vector<nft::ClaimEntry> lost;
  std::vector<std::string> notes;
};

void find_listeners(const Question& question, Answer& answer) {
  const nft::PublishedPort wanted[] = {
      {IpAddress::any(Family::ipv4), question.protocol, question.port}};
  Result<std::vector<host::Listener>> listeners = app::listeners_on(wanted);
  if (!listeners) {
    answer.notes.push_back(listeners.error().message());
    return;
  }
  host::name_processes(*listeners);
  answer.listeners = std::move(*listeners);
}

void find_former_owners(Transport& transport, const Question& question, Answer& answer) {
  const Result<std::vector<Missing>> all = find_missing(transport);
  if (!all) {
    answer.notes.push_back(all.error().message());
    return;
  }
  for (const Missing& missing : *all)
    for (const nft::PublishedPort& published : missing.ports)
      if (is_asked_for(published, question))
        answer.former_owners.push_back({published, missing.attachment});
}

Result<Answer> ask(Transport& transport, const Question& question) {
  Result<std::vector<ListedPort>> ports = list_ports(transport);
  if (!ports) return ports.error();
  Answer answer{std::move(*ports), {}, {}, {}, {}};
  std::erase_if(answer.publishers,
                [&](const ListedPort& port) { return !is_asked_for(port.published, question); });
  keep_winner(answer.publishers, question);
  if (const Status found = find_host_processes(transport, answer.publishers); !found)
    answer.notes.push_back(found.error().message());
  if (!answer.publishers.empty()) return answer;
  find_listeners(question, answer);
  find_former_owners(transport, question, answer);
  Result<app::Holdings> holdings = app::read_holdings(transport);
  if (!holdings) return holdings.error();
  for (nft::ClaimEntry& claim : holdings->lost)
    if (is_asked_for(claim.published, question)) answer.lost.push_back(std::move(claim));
  return answer;
}

std::string text_of(const Question& question, const Answer& answer) {
  std::string text;
  for (const ListedPort& port : answer.publishers) text += sentence(port);
  for (const ListedPort& port : answer.publishers) text += processes_of(port, question);
  if (!answer.publishers.empty()) return text;
  text = "nobody publishes " + to_string(Service{question.port, question.protocol}) +
         (question.address ? " on " + question.address->to_string() : "") + ".\n";
  for (const host::Listener& listener : answer.listeners)
    text += app::name_of(listener) + " listens on " + app::place_of(listener) + ".\n";
  for (const nft::ClaimEntry& claim : answer.lost)
    text += "the claim of " + printable(app::what_helps(claim)) + ".\n";
  for (const FormerOwner& former : answer.former_owners)
    text += to_string(former.published) + " was published by " +
            printable(nft::attachment_comment(former.attachment)) +
            ", which lives; nft-port-mapperctl restore publishes it again.\n";
  return text;
}

std::string json_of(const Question& question, const Answer& answer) {
  json::Writer out;
  out.begin_object()
      .member("protocol", to_string(question.protocol))
      .member("port", question.port.value());
  if (question.address) out.member("address", question.address->to_string());
  out.key("publishers").begin_array();
  for (const ListedPort& port : answer.publishers) write_port(out, port);
  out.end_array().key("listeners").begin_array();
  for (const host::Listener& listener : answer.listeners) {
    out.begin_object();
    write_listener(out, listener);
    out.end_object();
  }
  out.end_array().key("formerOwners").begin_array();
  for (const FormerOwner& former : answer.former_owners) {
    out.begin_object().member("hostAddress", former.published.address.to_string());
    write_attachment(out, former.attachment);
    out.end_object();
  }
  out.end_array().end_object();
  return std::move(out).text() + "\n";
}

}  // namespace

app::Outcome owner(const Arguments& arguments) {
  const Result<Question> question = parse_question(arguments.words);
  if (!question) return wrong_usage(question.error().message());
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return could_not_look(netlink.error());
  const Result<Answer> answer = ask(*netlink, *question);
  if (!answer) return could_not_look(answer.error());
  app::Outcome outcome;
  outcome.status = answer->publishers.empty() ? kProblem : 0;
  outcome.out = arguments.has("--json") ? json_of(*question, *answer) : text_of(*question, *answer);
  outcome.log = log_lines(answer->notes);
  return outcome;
}

}  // namespace portmapper::ctl
