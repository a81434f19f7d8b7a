#include "lib/app/ctl/service.hpp"

#include <array>
#include <charconv>

#include "lib/base/escape.hpp"

namespace portmapper::ctl {

Result<Service> parse_service(const std::string& word) {
  const std::size_t slash = word.find('/');
  const bool has_protocol = slash != std::string::npos;
  const auto protocol = has_protocol ? parse_protocol(word.substr(slash + 1)) : std::nullopt;
  const std::string digits = word.substr(0, slash);
  int number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const auto port = error == std::errc() && end == digits.data() + digits.size()
                        ? Port::from(number)
                        : std::nullopt;
  if (!port || has_protocol != protocol.has_value())
    return invalid_input(
        "'" + printable(word) +
        "' is not PORT/PROTOCOL, for example 8080/tcp; the protocols are tcp, udp and sctp");
  return Service{*port, protocol};
}

Result<IpAddress> parse_client(const std::string& word) {
  const std::optional<IpAddress> parsed = IpAddress::parse(word);
  if (!parsed) return invalid_input("--from: '" + printable(word) + "' is not an IP address");
  const IpAddress address = parsed->unmapped();
  static const std::array nobodies = {*IpPrefix::parse("0.0.0.0/8"),
                                      *IpPrefix::parse("224.0.0.0/3"), *IpPrefix::parse("::/128"),
                                      *IpPrefix::parse("ff00::/8")};
  for (const IpPrefix& nobody : nobodies)
    if (nobody.contains(address))
      return invalid_input("'" + printable(word) + "' is no client's address");
  return address;
}

bool answers(const Service& service, const nft::PublishedPort& published) {
  return published.port == service.port &&
         published.protocol == service.protocol.value_or(published.protocol);
}

std::string to_string(const Service& service) {
  const std::string port = std::to_string(service.port.value());
  return service.protocol ? port + "/" + std::string(to_string(*service.protocol)) : port;
}

}  // namespace portmapper::ctl
