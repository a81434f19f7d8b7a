// lib/base/attributes and acknowledgement: bytes that somebody else wrote, well or badly.
#include "lib/base/attributes.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>

#include "lib/base/netlink.hpp"
#include "tests/support/replies.hpp"
#include "tests/support/requests.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

// From a copy of exactly that size on the heap, so that a sanitizer sees a read beyond it.
std::string dumped(const std::string& text) {
  const Buffer bytes = unhex(text);
  const auto exact = std::make_unique<std::uint8_t[]>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), exact.get());
  return dump(Attributes({exact.get(), bytes.size()}));
}

}  // namespace

TEST_CASE("attributes one behind the other, padded or not at the end") {
  CHECK(dumped("'08000100 00000007  '05000200 61 000000  '04000300"_native) ==
        "1: 00000007, 2: 61, 3: ");
  CHECK(dumped("'05000200 61"_native) == "2: 61");
  CHECK(dumped("") == "");
}

TEST_CASE("the nested and byte order bits are no part of the type") {
  CHECK(dumped("'04000180  '04000240  '040003c0"_native) == "1: , 2: , 3: ");
}

TEST_CASE("a rest that is cut short is not there") {
  CHECK(dumped("'04000100  08"_native) == "1: ");
  CHECK(dumped("'04000100  0800 01"_native) == "1: ");
  CHECK(dumped("'04000100  '08000100"_native) == "1: ");
  CHECK(dumped("'04000100  '08000100 000000"_native) == "1: ");
  CHECK(dumped("08") == "");
}

TEST_CASE("a length below the header's does not run in circles") {
  CHECK(dumped("'00000100  '08000200 00000000"_native) == "");
  CHECK(dumped("'03000100  '08000200 00000000"_native) == "");
  CHECK(dumped("'04000100  '00000000  '04000200"_native) == "1: ");
}

TEST_CASE("a length beyond the end is not believed") {
  CHECK(dumped("'ffff0100 00000000"_native) == "");
  CHECK(dumped("'09000100 00000000"_native) == "");
}

TEST_CASE("find gives the first of its type") {
  const Buffer bytes = unhex(
      "'05000100 61 000000  '05000300 64 000000  '05000200 62 000000  '05000200 63 000000"_native);
  const Attributes attributes{bytes};
  CHECK(attributes.find(2)->text() == "b");
  CHECK_FALSE(attributes.find(4));
}

TEST_CASE("numbers of another length are 0, big-endian ones are turned") {
  const Buffer bytes = unhex("01020304 05060708");
  const Attribute eight{1, bytes};
  const Attribute four{1, Bytes(bytes).first(4)};
  const Attribute three{1, Bytes(bytes).first(3)};
  CHECK(four.number32() == 0x01020304);
  CHECK(eight.number64() == 0x0102030405060708);
  CHECK(eight.number32() == 0);
  CHECK(three.number32() == 0);
  CHECK(four.number64() == 0);
  CHECK(four.raw<std::uint8_t>() == 0);
}

TEST_CASE("a text ends at its NUL, or at the attribute's end") {
  const Buffer bytes = unhex("616200 63");
  CHECK(Attribute{1, bytes}.text() == "ab");
  CHECK(Attribute{1, Bytes(bytes).first(2)}.text() == "ab");
  CHECK(Attribute{1, {}}.text() == "");
}

TEST_CASE("attributes lie behind the protocol's header, rounded up") {
  const Replies replies = Replies().message(1, 0, 1, unhex("01000000  '05000100 61"_native));
  const auto* message = reinterpret_cast<const nlmsghdr*>(replies.bytes().data());
  CHECK(hex(message_attributes(*message, 4)) == "'05000100 61"_native);
  CHECK(hex(message_attributes(*message, 1)) == "'05000100 61"_native);
  CHECK(hex(message_attributes(*message, 8)) == "61");
  CHECK(message_attributes(*message, 11).empty());
  CHECK(message_attributes(*message, 400).empty());
}

TEST_CASE("acknowledgement: 0, an errno, or another message") {
  const auto of = [](const Replies& replies) {
    return acknowledgement(*reinterpret_cast<const nlmsghdr*>(replies.bytes().data()));
  };
  CHECK(of(Replies().acknowledge(1)).present);
  CHECK(of(Replies().acknowledge(1)).error_number == 0);
  CHECK(of(Replies().error(1, EPERM)).error_number == EPERM);
  CHECK(of(Replies().error(1, EPERM)).reason.empty());
  CHECK_FALSE(of(Replies().generation(1, 7)).present);
  CHECK_FALSE(of(Replies().message(NLMSG_MIN_TYPE, 0, 1, Buffer(40))).present);
  CHECK_FALSE(of(Replies().done(1)).present);
  CHECK_FALSE(of(Replies().message(NLMSG_ERROR, 0, 1, Buffer(19))).present);  // too short
}

TEST_CASE("the kernel's own words are taken only where it says that there are some") {
  Replies replies = Replies().error(1, EOPNOTSUPP, "no such thing");
  auto* message = reinterpret_cast<nlmsghdr*>(const_cast<std::uint8_t*>(replies.bytes().data()));
  CHECK(acknowledgement(*message).reason == "no such thing");
  message->nlmsg_flags = NLM_F_CAPPED;
  CHECK(acknowledgement(*message).reason.empty());
}
