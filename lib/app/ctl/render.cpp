#include <array>

#include "lib/app/command_context.hpp"
#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/input_file.hpp"
#include "lib/app/ctl/render_input.hpp"
#include "lib/app/host_effects.hpp"
#include "lib/base/escape.hpp"
#include "nft/egress_state.hpp"
#include "nft/transaction.hpp"

namespace portmapper::ctl {
namespace {

std::string container_of(const Arguments& arguments) {
  return arguments.value("--container").value_or("example");
}

std::string ifname_of(const Arguments& arguments) {
  return arguments.value("--ifname").value_or("eth0");
}

// `notes` gets what the ADD would say of the configuration.
Result<nft::Plan> plan_from(const std::string& text, const Arguments& arguments,
                            std::vector<std::string>& notes) {
  Result<config::NetConf> conf = config::parse_net_conf(text, cni::Command::add);
  if (!conf) return conf.error();
  if (!conf->prev_result)
    return invalid_input(
        "prevResult is missing: it holds the container's address; --address gives one");
  notes.insert(notes.end(), conf->notes.begin(), conf->notes.end());
  cni::Request request;
  request.command = cni::Command::add;
  request.container_id = container_of(arguments);
  request.ifname = ifname_of(arguments);
  delegate::PluginRunner runner({});
  std::string log;
  return app::plan_of(app::CommandContext{request, *conf, runner, log}, *conf->prev_result,
                      "prevResult");
}

std::vector<nft::ClaimEntry> claims_of(const nft::Plan& plan, Family family) {
  const std::string comment = nft::container_comment(plan.attachment.container_id);
  std::vector<nft::ClaimEntry> claims;
  for (const nft::Translation& translation : plan.translations)
    if (translation.published.address.family() == family)
      claims.push_back({translation.published, comment, {}});
  return claims;
}

}  // namespace

app::Outcome render(const Arguments& arguments) {
  if (!cni::is_cni_name(container_of(arguments)))
    return wrong_usage("--container: '" + printable(container_of(arguments)) +
                       "' is not a container ID that CNI allows");
  if (!cni::is_interface_name(ifname_of(arguments)))
    return wrong_usage("--ifname: '" + printable(ifname_of(arguments)) +
                       "' is not a name of an interface");
  const Result<std::string> text =
      read_input_file(arguments.words.empty() ? "-" : arguments.words.front());
  if (!text) return could_not_look(text.error());
  Result<RenderInput> input = render_input(*text, arguments);
  if (!input) return failure(input.error());
  Result<nft::Plan> plan = plan_from(input->config, arguments, input->notes);
  if (!plan) return failure(plan.error());
  app::Outcome outcome;
  for (const std::string& note : input->notes) outcome.out += "# " + note + "\n";
  for (const std::string& note : plan->notes) outcome.out += "# " + note + "\n";
  const std::string egress =
      plan->egress.empty() ? "" : to_string(nft::decide_masquerade(*plan, {}));
  if (plan->translations.empty() && egress.empty())
    outcome.out += "# no port to publish: an ADD would not touch nftables\n";
  if (plan->translations.empty()) {
    outcome.out += egress;
    return outcome;
  }
  const std::vector<std::string> jumps = {plan->chain.name};
  nft::Transaction transaction = nft::build_tables(plan->chain, jumps, {});
  // By this host's own route where it has one.
  nft::Plan here = *plan;
  app::find_way_of_loopback(here);
  for (const Family family : kFamilies) {
    const std::string& device = nft::loopback_device(here, family);
    nft::loopback_device(*plan, family) = device;
    if (!device.empty())
      transaction.append(nft::opened_device_added(family, device));
    else if (nft::wants_loopback(*plan, family) &&  // and not: br_netfilter drops the replies
             (family == Family::ipv4 || !nft::wants_loopback(here, family)))
      transaction.append(nft::loopback_addition(claims_of(*plan, family)));
  }
  transaction.append(nft::insertion(*plan));
  outcome.out +=
      "# What an ADD does on a host without our table. On a host where networks have"
      " published ports, loading\n"
      "# this removes the jumps to their chains until their next ADD.\n" +
      to_string(transaction) + egress;
  return outcome;
}

}  // namespace portmapper::ctl
