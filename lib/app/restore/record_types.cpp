#include "lib/app/restore/record_types.hpp"

#include "lib/cni/plugin_input.hpp"
#include "lib/host/own_plugin.hpp"

namespace portmapper::restore {

TypesOf types_of(bool portmap_is_ours) {
  return [portmap_is_ours](const std::string&, const host::FileState&) {
    std::vector<std::string_view> types = {cni::kOurType};
    if (portmap_is_ours) types.push_back(cni::kPortmapType);
    return types;
  };
}

TypesOf types_here(const char* cni_path, std::vector<std::string>& notes) {
  using Whose = host::PortmapProgram::Whose;
  const host::PortmapProgram portmap = host::find_portmap(cni_path);
  if (portmap.whose == Whose::unclear)
    notes.push_back("of " + portmap.path + " and " + portmap.another +
                    " one is nft-port-mapper: whether records that say portmap are ours is not"
                    " known; set CNI_PATH to the runtime's directory");
  return types_of(portmap.whose == Whose::ours);
}

}  // namespace portmapper::restore
