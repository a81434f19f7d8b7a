// take_process_name: the name by which nftables' messages say who committed a batch.
//
//   take_process_name(kProcessName);  // a plugin installed as portmap; a ctl that is started as /proc/self/exe
//
// The kernel names a process after the file it was started from, and tells fifteen characters of that
// (comm in proc(5)). The watch knows our own changes by it (nft/change), and a plugin under another name
// would be a stranger to it, whose every DEL is to be undone. Where the name is the file's already, as in
// the usual installation, this takes no system call. Errors: none; without the name the ports work all the
// same. Does not promise: anything about who else has the name. Source: prctl(2), PR_SET_NAME; getauxval(3),
// AT_EXECFN; kernel fs/exec.c, begin_new_exec.
#pragma once

#include <string_view>

namespace portmapper {

// Of the plugin; and of nft-port-mapperctl, what fits.
inline constexpr std::string_view kProcessName = "nft-port-mapper";

// Whether a process that was started from this file has the name.
bool has_process_name(std::string_view file, std::string_view name);
// `name`: ends with a zero, as a literal does.
void take_process_name(std::string_view name);

}  // namespace portmapper
