// Service: a port as an operator names one, with its protocol or without.
//
//   const Result<Service> service = parse_service("8080/tcp");
//   use(service->port, service->protocol);  // 8080, tcp; of "8080" no protocol
//   answers(*service, published);           // whether it is one of those
//
// Errors: invalid_input that says how it is written. Source: services(5) for the form.
#pragma once

#include <optional>
#include <string>

#include "lib/base/error.hpp"
#include "nft/published_port.hpp"

namespace portmapper::ctl {

struct Service {
  Port port;
  std::optional<Protocol> protocol{};  // nothing: any

  bool operator==(const Service&) const = default;
};

Result<Service> parse_service(const std::string& word);
// Whom an option names, such as --from; IPv4 without its form in IPv6.
Result<IpAddress> parse_client(const std::string& word);
bool answers(const Service& service, const nft::PublishedPort& published);
std::string to_string(const Service& service);  // "8080/tcp", "8080"

}  // namespace portmapper::ctl
