// By which types records of the runtimes are ours.
//
//   std::vector<std::string> notes;
//   restore(transport, default_sources(), Mode::publish, {.types = types_here(std::getenv("CNI_PATH"), notes)});
//
// Where the program called portmap is ours (lib/host/own_plugin), so are the records that name portmap. What
// nft-port-mapperctl adopt took over names our plugin since then (lib/app/adopt/record). Errors: none; a
// program that may be either is a note. Source: packaging/doc/migration.md.
#pragma once

#include <string>
#include <vector>

#include "lib/app/restore/checkpoints.hpp"

namespace portmapper::restore {

TypesOf types_of(bool portmap_is_ours);
// By the program called portmap that CNI_PATH leads to (null: that of the usual directories).
TypesOf types_here(const char* cni_path, std::vector<std::string>& notes);

}  // namespace portmapper::restore
