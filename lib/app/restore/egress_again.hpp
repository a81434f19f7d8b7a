// masquerade_again: masquerades again what a flush removed, from the runtimes' records.
//
//   Restored restored;
//   const Status done = masquerade_again(transport, {}, only_ours, Mode::publish, restored);
//   for (const Restored::Line& line : restored.masqueraded) use(line.attachment);
//
// Of attachments that live, as restore; those that are masqueraded as their record says are not
// changed. What was begun again and ended meanwhile is taken back: the records are read again at once
// and a second later. Mode::dry_run changes nothing. Errors: only when the kernel cannot be asked; what
// concerns one attachment is one of `restored.problems`. Source: packaging/doc/egress.md.
#pragma once

#include <vector>

#include "lib/app/restore/restore.hpp"

namespace portmapper::restore {

Status masquerade_again(Transport& transport, const std::vector<Source>& sources,
                        const TypesOf& types, Mode mode, Restored& restored);

}  // namespace portmapper::restore
