#include "lib/app/ctl/port_word.hpp"

#include <charconv>

namespace portmapper::ctl {

Result<PortWord> parse_port_word(const std::string& word) {
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
  return PortWord{*protocol, *port};
}

std::string to_string(const PortWord& word) {
  return std::to_string(word.port.value()) + "/" + std::string(to_string(word.protocol));
}

}  // namespace portmapper::ctl
