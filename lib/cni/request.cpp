#include "lib/cni/request.hpp"

#include <array>
#include <optional>

#include "lib/base/escape.hpp"
#include "lib/cni/pod_arguments.hpp"
#include "lib/json/read.hpp"
#include "lib/json/text.hpp"

namespace portmapper::cni {
namespace {

struct CommandName {
  Command command;
  std::string_view name;
};

constexpr std::array kCommands = {
    CommandName{Command::add, "ADD"},       CommandName{Command::del, "DEL"},
    CommandName{Command::check, "CHECK"},   CommandName{Command::gc, "GC"},
    CommandName{Command::status, "STATUS"}, CommandName{Command::version, "VERSION"},
};

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool has_control_character(std::string_view text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return true;
  return false;
}

Result<Command> read_command(const char* value) {
  if (value == nullptr || *value == '\0')
    return invalid_input(
        "CNI_COMMAND is not set: this program is a CNI plugin, which container runtimes"
        " call; it is not meant to be run by hand");
  for (const CommandName& candidate : kCommands)
    if (candidate.name == value) return candidate.command;
  return unsupported_command("CNI_COMMAND: " + json::quoted(value) +
                             " is not one of ADD, DEL, CHECK, GC, STATUS, VERSION");
}

// Reads the variables of one command and notes what is wrong with them.
class Variables {
 public:
  explicit Variables(const Environment& environment) : environment_(environment) {}

  std::string optional(const char* name) const {
    const char* const value = environment_(name);
    return value == nullptr ? std::string() : std::string(value);
  }

  // `rule` is what a value that `is_right` refuses should have been.
  std::string required(const char* name, bool (*is_right)(std::string_view),
                       std::string_view rule) {
    const char* const value = environment_(name);
    if (value == nullptr) {
      problems_.add(std::string(name) + " is not set");
    } else if (*value == '\0') {
      problems_.add(std::string(name) + " is empty");
    } else if (!is_right(value)) {
      problems_.add(std::string(name) + ": " + json::quoted(value) + " is not " +
                    std::string(rule));
    }
    return optional(name);
  }

  [[nodiscard]] const json::Problems& problems() const { return problems_; }

 private:
  const Environment& environment_;
  json::Problems problems_;
};

}  // namespace

Result<Request> read_request(const Environment& environment) {
  const Result<Command> command = read_command(environment("CNI_COMMAND"));
  if (!command) return command.error();
  Variables variables(environment);
  Request request;
  request.command = *command;
  request.path = variables.optional("CNI_PATH");
  const bool needs_namespace = *command == Command::add || *command == Command::check;
  if (needs_namespace || *command == Command::del) {
    request.container_id = variables.required(
        "CNI_CONTAINERID", is_cni_name,
        "a container ID: a letter or digit, then letters, digits, '_', '.', '-'");
    request.ifname =
        variables.required("CNI_IFNAME", is_interface_name,
                           "an interface name: 1 to 15 bytes of UTF-8, not '.' or '..', "
                           "without '/', ':', '\"', white space, control characters");
    request.netns =
        needs_namespace
            ? variables.required(
                  "CNI_NETNS", [](std::string_view path) { return !has_control_character(path); },
                  "a path: it has control characters")
            : variables.optional("CNI_NETNS");
  }
  if (!variables.problems().empty()) return invalid_input(variables.problems().text());
  if (*command == Command::add) request.pod = pod_of(environment("CNI_ARGS"));
  return request;
}

std::string_view to_string(Command command) {
  for (const CommandName& candidate : kCommands)
    if (candidate.command == command) return candidate.name;
  return "unknown";
}

bool is_cni_name(std::string_view name) {
  if (name.empty() || !is_letter_or_digit(name[0])) return false;
  for (const char c : name)
    if (!is_letter_or_digit(c) && c != '_' && c != '.' && c != '-') return false;
  return true;
}

bool is_interface_name(std::string_view name) {
  return !name.empty() && name.size() <= 15 && name != "." && name != ".." &&
         name.find_first_of("/: \"") == std::string_view::npos && printable(name) == name;
}

}  // namespace portmapper::cni
