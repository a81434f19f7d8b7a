// Marks: the mark that a published port's packets have when the kernel routes them.
//
//   Host host;  // rules of others, and that ip rules look at marks
//   const Mark mark = mark_of(host, port, {"eth0", 2}, Direction::request);
//   if (mark.number) use(*mark.number);  // what a route is asked about with
//
// Where no ip rule of the family looks at marks they decide nothing, and none is told. A mark that
// only some of the packets get, or that a rule computes, is not known. Numbers are in host byte
// order. Errors: none. Does not promise: to know marks that programs of the kernel's (tc, XDP), or
// our own table, give; ours gives none. Source: kernel net/netfilter/nft_meta.c, xt_mark.c.
#pragma once

#include "lib/app/doctor/doctor.hpp"

namespace portmapper::doctor {

enum class Direction : std::uint8_t { request, answer };

// `in`: the interface by which the packets come.
Mark mark_of(const Host& host, const RoutedPort& port, const host::Device& in, Direction direction);

// Notes on marks that are not known, where ip rules look at them.
std::vector<Finding> find_unknown_marks(const Host& host);

}  // namespace portmapper::doctor
