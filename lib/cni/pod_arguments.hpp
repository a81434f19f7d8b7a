// Pod arguments: what CNI_ARGS says of the pod that a container belongs to.
//
//   const Pod pod = pod_of("IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=nginx");
//   use(pod.space, pod.name);  // "default", "nginx"
//
// containerd sets them for pods, podman for its containers. They are for people to read and
// nothing else, so a value that is no name, or longer than Kubernetes allows, is ignored, and an ADD
// never fails for it. Of a key that is there twice the last counts. Errors: none. Source: CNI SPEC.md
// section 2, "CNI_ARGS"; Kubernetes, "Object Names and IDs": 63 and 253 characters.
#pragma once

#include <string_view>

#include "lib/base/attachment.hpp"

namespace portmapper::cni {

Pod pod_of(const char* arguments);  // null: the variable is not set
// The same of one argument; other keys change nothing.
void note_argument(Pod& pod, std::string_view key, std::string_view value);

}  // namespace portmapper::cni
