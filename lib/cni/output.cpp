#include "lib/cni/output.hpp"

#include "lib/cni/versions.hpp"
#include "lib/json/writer.hpp"

namespace portmapper::cni {

int cni_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::unsupported_version:
      return 1;
    case ErrorKind::try_again_later:
      return 11;
    case ErrorKind::not_available:
      return 50;
    case ErrorKind::unreadable_input:
      return 100;
    case ErrorKind::invalid_input:
      return 101;
    case ErrorKind::delegate_failed:
    case ErrorKind::delegate_missing:
      return 102;
    case ErrorKind::mapping_failed:
    case ErrorKind::port_taken:
      return 103;
    case ErrorKind::unsupported_command:
      return 104;
  }
  return 103;
}

std::string error_object(std::string_view cni_version, const Error& error) {
  json::Writer out;
  out.begin_object()
      .member("cniVersion", cni_version)
      .member("code", cni_code(error.kind))
      .member("msg", error.message());
  if (!error.details.empty()) out.member("details", error.details);
  out.end_object();
  return std::move(out).text() + "\n";
}

std::string version_object(std::string_view cni_version) {
  json::Writer out;
  out.begin_object().member("cniVersion", cni_version).key("supportedVersions").begin_array();
  for (const std::string_view version : kCniVersions) out.string(version);
  out.end_array().end_object();
  return std::move(out).text() + "\n";
}

}  // namespace portmapper::cni
