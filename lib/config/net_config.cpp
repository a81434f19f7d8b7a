#include "lib/config/net_config.hpp"

#include <algorithm>

#include "lib/base/escape.hpp"
#include "lib/base/table_names.hpp"
#include "lib/cni/versions.hpp"
#include "lib/config/chain_name.hpp"
#include "lib/config/conditions.hpp"
#include "lib/config/delegate_input.hpp"
#include "lib/config/excluded.hpp"
#include "lib/config/known_keys.hpp"
#include "lib/config/port_mappings.hpp"
#include "lib/json/document.hpp"
#include "lib/json/read.hpp"

namespace portmapper::config {
namespace {

constexpr std::string_view kWhat = "the configuration";
constexpr std::string_view kValidAttachments = "cni.dev/valid-attachments";
constexpr std::int64_t kMaxDelegateTimeout = 86400;  // seconds
constexpr std::int64_t kMaxPortWait = 60;            // seconds

// A config without cniVersion, or with an empty one, is older than the key.
Result<std::string> read_version(const json::Value& root) {
  const json::Value value = root.member("cniVersion");
  if (!value.present()) return std::string(cni::kOldestCniVersion);
  json::Problems problems;
  const std::optional<std::string_view> text = json::read_string(value, problems);
  if (!text) return invalid_input(problems.text());
  if (text->empty()) return std::string(cni::kOldestCniVersion);
  if (cni::is_supported(*text)) return std::string(*text);
  std::string complaint = "is not a supported version; those are ";
  for (const std::string_view version : cni::kCniVersions)
    complaint.append(version == cni::kOldestCniVersion ? "" : ", ").append(version);
  problems.about(value, complaint);
  return Error{ErrorKind::unsupported_version, problems.text()};
}

bool is_plugin_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         printable(name) == name;
}

// Reads one document into a NetConf. What every command needs is noted in problems_; what only ADD
// and CHECK need is noted there for them and forgotten otherwise: DEL must not fail, and keep the
// runtime from releasing an address, over what it does not use.
class Reader {
 public:
  Reader(const json::Value& root, cni::Command command)
      : root_(root),
        command_(command),
        is_strict_(command == cni::Command::add || command == cni::Command::check) {}

  void read_identity();
  void read_chain();
  void read_delegate();
  void read_prev_result();
  void read_options();
  void read_mappings();
  void read_valid_attachments();

  [[nodiscard]] const json::Problems& problems() const { return problems_; }

  NetConf conf;

 private:
  json::Problems& optional_problems() { return is_strict_ ? problems_ : forgotten_; }
  void read_exclude_devices();
  void read_prefixes(std::string_view key, std::string_view of_all,
                     std::vector<IpPrefix>& prefixes);
  void read_conditions(std::string_view key, Family family, std::vector<Match>& matches);
  void read_bool_option(std::string_view key, bool& option);
  void read_seconds(std::string_view key, std::int64_t most, std::chrono::seconds& option);
  void read_host_listeners();
  void read_ip_masq();
  void read_snat_address(IpMasq& masq);
  void refuse_options_of_shared_chain();
  void read_nftables_only();

  json::Value root_;
  cni::Command command_;
  bool is_strict_;
  json::Problems problems_;
  json::Problems forgotten_;
};

void Reader::read_identity() {
  const json::Value value = root_.member("name");
  if (!value.present()) return problems_.missing(root_, "name");
  const std::optional<std::string_view> name = json::read_string(value, problems_);
  if (!name) return;
  conf.name = *name;
  if (!cni::is_cni_name(*name))
    problems_.about(
        value, "is not a network name: a letter or digit, then letters, digits, '_', '.', '-'");
}

// An ADD with such a chain was refused, so its DEL has nothing to look for there.
void Reader::read_chain() {
  json::Problems& problems = command_ == cni::Command::del ? forgotten_ : problems_;
  const json::Value value = root_.member("chain");
  if (!value.present()) {
    if (root_.member("delegate").present())
      problems.missing(root_, "chain", "a configuration with a delegate must name its nft chain");
    return;
  }
  const std::optional<std::string_view> chain = json::read_string(value, problems);
  if (!chain) return;
  const std::string_view complaint = chain_name_complaint(*chain);
  if (complaint.empty())
    conf.chain = *chain;
  else
    problems.about(value, complaint);
}

void Reader::read_delegate() {
  const json::Value delegate = root_.member("delegate");
  if (!json::is_object(delegate, problems_)) return;
  const json::Value type = delegate.member("type");
  if (!type.present()) return problems_.missing(delegate, "type");
  const std::optional<std::string_view> name = json::read_string(type, problems_);
  if (!name) return;
  if (!is_plugin_name(*name))
    return problems_.about(
        type,
        "is not the name of a plugin: a file in CNI_PATH, without '/' and control characters");
  conf.delegate = Delegate{std::string(*name), delegate_input(root_, conf.name, conf.cni_version)};
}

void Reader::read_prev_result() {
  const json::Value value = root_.member("prevResult");
  if (json::is_object(value, optional_problems()))
    conf.prev_result = value.raw();
  else if (!value.present() && is_strict_ && !root_.member("delegate").present())
    problems_.missing(root_, "prevResult",
                      "without a delegate, the plugin before this one makes the interface");
}

void Reader::read_bool_option(std::string_view key, bool& option) {
  const json::Value value = root_.member(key);
  if (value.present()) option = json::read_bool(value, optional_problems()).value_or(option);
}

void Reader::read_seconds(std::string_view key, std::int64_t most, std::chrono::seconds& option) {
  const json::Value value = root_.member(key);
  if (!value.present()) return;
  const auto seconds = json::read_integer(value, 0, most, optional_problems());
  if (seconds) option = std::chrono::seconds(*seconds);
}

void Reader::read_host_listeners() {
  const json::Value value = root_.member("hostListeners");
  if (!value.present()) return;
  json::Problems& problems = optional_problems();
  const std::optional<std::string_view> word = json::read_string(value, problems);
  if (!word) return;
  for (const auto& [name, wish] :
       {std::pair{"hidden", HostListeners::hidden}, std::pair{"noted", HostListeners::noted},
        std::pair{"refused", HostListeners::refused}})
    if (*word == name) {
      conf.host_listeners = wish;
      return;
    }
  problems.about(value, "is not \"hidden\", \"noted\" or \"refused\"");
}

// Every network without restrictions shares this chain: those of one would be everybody's. An ADD
// was refused, so DEL and GC have nothing to look for.
void Reader::refuse_options_of_shared_chain() {
  if (conf.chain != kSharedChain || command_ == cni::Command::del || command_ == cni::Command::gc)
    return;
  for (const std::string_view key :
       {"excludeDevices", "excludeAddresses", "conditionsV4", "conditionsV6"}) {
    const json::Value list = root_.member(key);
    if (list.begin() == list.end()) continue;
    std::string complaint = "is shared by networks without ";
    complaint.append(key).append("; name another chain");
    if (!root_.member("delegate").present())
      complaint += ", or leave it out, and this network gets one of its own";
    return problems_.about(root_.member("chain"), complaint);
  }
}

void Reader::read_ip_masq() {
  bool is_wanted = false;
  read_bool_option("ipMasq", is_wanted);
  IpMasq masq;
  read_prefixes("nonMasqueradeCIDRs", "leaves nothing to masquerade; that is \"ipMasq\": false",
                masq.non_masquerade);
  read_snat_address(masq);
  if (is_wanted) conf.ip_masq = std::move(masq);
  for (const std::string_view key : {"nonMasqueradeCIDRs", "snatAddress"})
    if (!is_wanted && command_ == cni::Command::add && root_.member(key).present())
      conf.notes.push_back(std::string(key) + " has no effect without \"ipMasq\": true");
}

// One address, or one of each family.
void Reader::read_snat_address(IpMasq& masq) {
  json::Problems& problems = optional_problems();
  const json::Value value = root_.member("snatAddress");
  if (!value.present()) return;
  const auto read = [&](const json::Value& one) {
    const std::optional<std::string_view> text = json::read_string(one, problems);
    if (!text) return;
    const std::optional<IpAddress> address = IpAddress::parse(*text);
    if (!address || !can_be_answered(*address))
      return problems.about(one, "is not an IP address that others can answer");
    for (const IpAddress& other : masq.snat_addresses)
      if (other.family() == address->family())
        return problems.about(one, "is a second address of its family; one is used");
    masq.snat_addresses.push_back(*address);
  };
  if (value.kind() == json::Kind::string) return read(value);
  if (value.kind() != json::Kind::array)
    return problems.about(value, "is not an IP address, or an array of one of each family");
  for (const json::Value one : value) read(one);
}

void Reader::read_exclude_devices() {
  json::Problems& problems = optional_problems();
  const json::Value devices = root_.member("excludeDevices");
  if (!json::is_array(devices, problems)) return;
  for (const json::Value device : devices) {
    const std::optional<std::string_view> name = json::read_string(device, problems);
    if (!name) continue;
    std::vector<std::string>& names = conf.exclude_devices;
    if (!is_excludable_device(*name))
      problems.about(device, kNotADevice);
    else if (std::find(names.begin(), names.end(), *name) == names.end())
      names.emplace_back(*name);
  }
}

// `of_all`: why every address is not meant.
void Reader::read_prefixes(std::string_view key, std::string_view of_all,
                           std::vector<IpPrefix>& prefixes) {
  json::Problems& problems = optional_problems();
  const json::Value list = root_.member(key);
  if (!json::is_array(list, problems)) return;
  for (const json::Value entry : list) {
    const std::optional<std::string_view> text = json::read_string(entry, problems);
    if (!text) continue;
    std::string_view complaint = of_all;
    const std::optional<IpPrefix> prefix = parse_excluded_prefix(*text, complaint);
    if (prefix)
      prefixes.push_back(*prefix);
    else
      problems.about(entry, complaint);
  }
  if (prefixes.size() > kMaxExcludedPrefixes)
    return problems.about(list,
                          "has more than " + std::to_string(kMaxExcludedPrefixes) + " entries");
  for (const Family family : kFamilies)
    if (are_everything(prefixes, family))
      problems.about(list, "has all of " + IpPrefix::everything(family).to_string() + ", which " +
                               std::string(of_all));
}

void Reader::read_conditions(std::string_view key, Family family, std::vector<Match>& matches) {
  json::Problems& problems = optional_problems();
  const json::Value conditions = root_.member(key);
  if (!json::is_array(conditions, problems)) return;
  std::vector<std::string> words;
  bool are_strings = true;
  for (const json::Value condition : conditions) {
    const std::optional<std::string_view> word = json::read_string(condition, problems);
    words.emplace_back(word.value_or(""));
    are_strings = are_strings && word;
  }
  if (!are_strings) return;
  Result<std::vector<Match>> parsed = parse_conditions(words, family, key);
  if (parsed)
    matches = *std::move(parsed);
  else
    problems.add(parsed.error().what);
}

void Reader::read_nftables_only() {
  json::Problems& problems = optional_problems();
  const json::Value backend = root_.member("backend");
  if (backend.present() && backend.text() != "nftables")
    problems.about(backend, "is not \"nftables\", the only backend");
  const json::Value bit = root_.member("markMasqBit");
  if (bit.present()) (void)json::read_integer(bit, 0, 31, problems);  // portmap's range
  const json::Value set_mark = root_.member("externalSetMarkChain");
  if (set_mark.present())
    problems.about(set_mark, "is refused: it names an iptables chain, and no mark is used here");
}

void Reader::read_options() {
  read_exclude_devices();
  read_prefixes("excludeAddresses",
                "excludes every address; publish such ports with a hostIP instead",
                conf.exclude_addresses);
  read_bool_option("snat", conf.snat);
  read_bool_option("masqAll", conf.masq_all);
  read_bool_option("closeConnections", conf.close_connections);
  read_conditions("conditionsV4", Family::ipv4, conf.conditions_v4);
  read_conditions("conditionsV6", Family::ipv6, conf.conditions_v6);
  refuse_options_of_shared_chain();
  read_nftables_only();
  read_seconds("delegateTimeout", kMaxDelegateTimeout, conf.delegate_timeout);
  read_seconds("portWait", kMaxPortWait, conf.port_wait);
  read_host_listeners();
  read_ip_masq();
}

void Reader::read_mappings() {
  json::Problems& problems = optional_problems();
  PortMappings mappings(problems);
  const json::Value runtime_config = root_.member("runtimeConfig");
  if (json::is_object(runtime_config, problems))
    mappings.read(runtime_config.member("portMappings"), kRuntimeConfigKeys);
  json::Value value = root_;
  for (const std::string_view key : {"args", "org.apache.mesos", "network_info"}) {
    value = value.member(key);
    if (!json::is_object(value, problems)) break;
  }
  mappings.read(value.member("port_mappings"), kMesosKeys);
  conf.mappings = std::move(mappings).take();
}

// Never lenient: an attachment that is missed here is removed while it is alive.
void Reader::read_valid_attachments() {
  const json::Value list = root_.member(kValidAttachments);
  if (command_ != cni::Command::gc) return;
  // libcni writes an empty list of Go as null; only a missing key says nothing.
  const bool is_null = list.kind() == json::Kind::null;
  if (!is_null && !json::is_array(list, problems_)) return;
  conf.valid_attachments.emplace();
  for (const json::Value entry : list) {
    if (entry.kind() != json::Kind::object) {
      problems_.about(entry, "is not an object");
      continue;
    }
    ValidAttachment& valid = conf.valid_attachments->emplace_back();
    for (const auto& [key, text] :
         {std::pair{"containerID", &valid.container_id}, std::pair{"ifname", &valid.ifname}}) {
      const json::Value value = entry.member(key);
      if (value.present())
        *text = json::read_string(value, problems_).value_or("");
      else
        problems_.missing(entry, key);
    }
  }
}

}  // namespace

Result<NetConf> parse_net_conf(std::string_view text, cni::Command command) {
  const Result<json::Document> document = json::Document::parse(text, kWhat);
  if (!document) return document.error();
  const json::Value root = document->root();
  Result<std::string> version = read_version(root);
  if (!version) return version.error();
  Reader reader(root, command);
  reader.conf.cni_version = *std::move(version);
  if (command == cni::Command::version) return std::move(reader.conf);
  reader.read_identity();
  reader.read_chain();
  reader.read_delegate();
  reader.read_prev_result();
  reader.read_options();
  reader.read_mappings();
  reader.read_valid_attachments();
  if (command == cni::Command::add) notes_on_keys(root, reader.conf.notes);
  if (reader.problems().empty()) return std::move(reader.conf);
  std::string complaint = reader.problems().text();
  for (const std::string& note : reader.conf.notes) complaint += "; " + note;  // often the reason
  return invalid_input(std::move(complaint));
}

std::string answer_version(std::string_view text) {
  const Result<json::Document> document = json::Document::parse(text, kWhat);
  if (!document) return std::string(cni::kNewestCniVersion);
  const Result<std::string> version = read_version(document->root());
  return version ? *version : std::string(cni::kNewestCniVersion);
}

}  // namespace portmapper::config
