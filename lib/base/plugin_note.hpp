// PluginNote: by what the plugin's program is known, whatever its file is called.
//
//   const PluginNote note;
//   use(note.name);  // "nft-port-mapper", in section .note.nft-port-mapper
//
// k3s and others write configurations that say "portmap", so our program may be installed under that name.
// Nobody else's program has this note, and every version of ours has, since the first with this header. A
// script or a program that runs ours has none. In the machine's byte order. Errors: none. Source: elf(5),
// Notes (Nhdr).
#pragma once

#include <cstdint>

namespace portmapper {

inline constexpr char kPluginNoteName[] = "nft-port-mapper";
inline constexpr std::uint32_t kPluginNoteType = 1;

struct PluginNote {
  std::uint32_t name_length = sizeof name;
  std::uint32_t content_length = sizeof content;
  std::uint32_t type = kPluginNoteType;
  char name[sizeof kPluginNoteName] = {'n', 'f', 't', '-', 'p', 'o', 'r', 't',
                                       '-', 'm', 'a', 'p', 'p', 'e', 'r', '\0'};
  std::uint32_t content = 1;  // a configuration of portmap's is taken
};
static_assert(sizeof(PluginNote) == 32);

}  // namespace portmapper
