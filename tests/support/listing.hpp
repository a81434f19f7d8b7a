// Listings: the ruleset of a namespace as text that two tests can compare.
//
//   nft(lab.host(), script);                       // loads it, throws nft's own words
//   CHECK(normalise(listing(lab.host())) == normalise(expected));
//
// normalise puts counters to zero, every owner hash ("k" and 14 characters) to "k#1", "k#2", ...
// and the elements of every set and map in order, one a line as nft prints concatenations. The
// order and the numbers do not depend on the hashes as long as the elements differ in anything
// else. Errors: std::runtime_error with nft's stderr. Does not promise: to undo different white
// space elsewhere; both texts should be listings. Source: nft(8) 1.0.6.
#pragma once

#include <string>
#include <string_view>

namespace portmapper::test {

void nft(const std::string& ns, const std::string& script);
// `nft list table inet nft-port-mapper`; empty when there is no such table. Newer versions of nft have a
// word for the priority of our output chain; it is the number here, which all of them read.
std::string listing(const std::string& ns);
std::string normalise(std::string_view listing);

}  // namespace portmapper::test
