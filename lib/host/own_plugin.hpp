// Whether a program is our plugin, whatever its file is called.
//
//   is_own_plugin("/opt/cni/bin/portmap");  // a link or a copy of ours; not the CNI project's
//   const PortmapProgram program = find_portmap("/opt/cni/bin:/usr/lib/cni");
//   use(program.path, program.whose);
//
// The proof is the note in the program (lib/base/plugin_note), which a name is not; and it is for the machine that
// the caller is for, since another one cannot run it. A runtime takes the first
// file of that name in its directories; where they are not known (no CNI_PATH), all that are there are looked
// at, and if they differ it is unknown which one is meant. Links are followed. Nothing but a regular file is
// read. Errors: none; what cannot be read is not ours. Does not promise: to know a script that runs ours.
// Source: elf(5), e_machine; ld(1), __ehdr_start; CNI SPEC.md section 2, CNI_PATH.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace portmapper::host {

bool is_own_plugin(const std::string& path);

struct PortmapProgram {
  enum class Whose : std::uint8_t { none, ours, another, unclear };
  Whose whose = Whose::none;
  std::string path{};     // the first
  std::string another{};  // of `unclear`: the first that is of the other kind
};

// The directories that runtimes look for plugins in, where nobody says it.
std::vector<std::string> usual_plugin_directories();
// By CNI_PATH, or without it (null) by the usual directories.
PortmapProgram find_portmap(const char* cni_path);

}  // namespace portmapper::host
