// Names of the table that a configuration may not take, and how long those may be that it gives.
//
//   std::find(kReservedNames.begin(), kReservedNames.end(), "output");  // a chain of the skeleton
//
// nft/names has all the others. Both sides need these: lib/config refuses them, nft builds with them.
// Lengths are in bytes. Errors: none. Source: packaging/doc/design.md, "The ruleset".
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace portmapper {

inline constexpr char kNetworks[] = "networks";
inline constexpr char kAnyAddress[] = "any-address";
inline constexpr char kPrerouting[] = "prerouting";
inline constexpr char kOutput[] = "output";
inline constexpr char kPostrouting[] = "postrouting";
inline constexpr char kLocalnetGuard[] = "localnet-guard";
inline constexpr char kLocalnetGuardInput[] = "localnet-guard-input";
// The chain of the networks without restrictions of their own and without a `chain` in their config.
inline constexpr char kSharedChain[] = "hostports";
// What the names of claim sets, loopback sets and hairpin sets begin with, as those of a network's
// maps do with its chain's name.
inline constexpr char kPublished[] = "published";
inline constexpr char kLoopback[] = "loopback";
inline constexpr char kHairpin[] = "hairpin";

inline constexpr std::array<std::string_view, 10> kReservedNames = {
    kNetworks,      kAnyAddress,         kPrerouting, kOutput,   kPostrouting,
    kLocalnetGuard, kLocalnetGuardInput, kPublished,  kLoopback, kHairpin};

// Leaves room for the suffixes of the network's maps, and for a jump to it in one line of a listing.
inline constexpr std::size_t kMaxChainName = 100;

}  // namespace portmapper
