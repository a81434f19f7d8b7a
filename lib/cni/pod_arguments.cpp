#include "lib/cni/pod_arguments.hpp"

#include <algorithm>

#include "lib/cni/request.hpp"

namespace portmapper::cni {
namespace {

constexpr std::size_t kMostOfSpace = 63;
constexpr std::size_t kMostOfName = 253;

}  // namespace

void note_argument(Pod& pod, std::string_view key, std::string_view value) {
  if (!is_cni_name(value)) return;
  if (key == "K8S_POD_NAMESPACE" && value.size() <= kMostOfSpace) pod.space = value;
  if (key == "K8S_POD_NAME" && value.size() <= kMostOfName) pod.name = value;
}

Pod pod_of(const char* arguments) {
  Pod pod;
  if (arguments == nullptr) return pod;
  for (std::string_view rest(arguments); !rest.empty();) {
    const std::string_view one = rest.substr(0, rest.find(';'));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    const std::size_t equals = one.find('=');
    if (equals != std::string_view::npos)
      note_argument(pod, one.substr(0, equals), one.substr(equals + 1));
  }
  return pod;
}

}  // namespace portmapper::cni
