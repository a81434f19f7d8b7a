// lib/base: ports, protocols, hashes, errors and the owner of a descriptor.
#include <doctest/doctest.h>
#include <fcntl.h>

#include <cerrno>
#include <string>

#include "lib/base/error.hpp"
#include "lib/base/hash.hpp"
#include "lib/base/port.hpp"
#include "lib/base/process_name.hpp"
#include "lib/base/unique_fd.hpp"
#include "lib/base/write_all.hpp"
#include "tests/support/bytes.hpp"

using namespace portmapper;
using portmapper::test::hex;
using portmapper::test::unhex;

namespace {

bool is_open(int fd) {
  return fcntl(fd, F_GETFD) != -1;
}

UniqueFd some_fd() {
  return UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC));
}

std::string sha(const std::string& text) {
  std::string digits;
  for (const char c : hex(sha256(text)))
    if (c != ' ') digits += c;
  return digits;
}

}  // namespace

TEST_CASE("a port is 1 to 65535 and nothing else") {
  CHECK_FALSE(Port::from(0));
  CHECK_FALSE(Port::from(-1));
  CHECK_FALSE(Port::from(65536));
  CHECK_FALSE(Port::from(65536 + 80));
  CHECK_FALSE(Port::from(INT64_MIN));
  CHECK_FALSE(Port::from(INT64_MAX));
  CHECK(Port::from(1)->value() == 1);
  CHECK(Port::from(65535)->value() == 65535);
}

TEST_CASE("protocols in any letter case, and no others") {
  CHECK(parse_protocol("tcp") == Protocol::tcp);
  CHECK(parse_protocol("UDP") == Protocol::udp);
  CHECK(parse_protocol("sCtP") == Protocol::sctp);
  for (const char* text : {"", "tc", "tcpp", "tcp ", " tcp", "6", "dccp", "udplite"})
    CHECK_FALSE(parse_protocol(text));
  CHECK_FALSE(parse_protocol(std::string_view("tcp\0", 4)));
  CHECK_FALSE(parse_protocol(std::string_view("tc\0", 3)));
}

TEST_CASE("protocol numbers are IANA's") {
  CHECK(protocol_from_number(6) == Protocol::tcp);
  CHECK(protocol_from_number(17) == Protocol::udp);
  CHECK(protocol_from_number(132) == Protocol::sctp);
  for (const std::uint8_t number : unhex("00 01 05 21 88 ff"))
    CHECK_FALSE(protocol_from_number(number));
  CHECK(to_string(Protocol::tcp) == "tcp");
  CHECK(to_string(Protocol::udp) == "udp");
  CHECK(to_string(Protocol::sctp) == "sctp");
}

TEST_CASE("sha256 of FIPS 180-4's examples") {
  CHECK(sha("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha(std::string(1'000'000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("sha256 on both sides of where padding needs another block") {
  CHECK(sha(std::string(55, 'a')) ==
        "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
  CHECK(sha(std::string(56, 'a')) ==
        "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a");
  CHECK(sha(std::string(63, 'a')) ==
        "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34");
  CHECK(sha(std::string(64, 'a')) ==
        "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
  CHECK(sha(std::string(65, 'a')) ==
        "635361c48bb9eab14198e76ea8ab7f1a41685d6ad62aa9146d301d4f17eb0ae0");
  CHECK(sha(std::string(119, 'a')) ==
        "31eba51c313a5c08226adf18d4a359cfdfd8d2e816b13f4af952f7ea6584dcfb");
  CHECK(sha(std::string(120, 'a')) ==
        "2f3d335432c70b580af0e8e1b3674a7c020d683aa5f73aaaedfdc55af904c21c");
}

TEST_CASE("sha256 takes bytes as they are") {
  CHECK(sha(std::string("\0\xff", 2)) ==
        "06eb7d6a69ee19e5fbdf749018d3d2abfa04bcbd1365db312eb86dc7169389b8");
}

TEST_CASE("fnv1a of RFC 9923's examples, and of a byte with its high bit set") {
  CHECK(fnv1a("") == 0xcbf29ce484222325);
  CHECK(fnv1a("a") == 0xaf63dc4c8601ec8c);
  CHECK(fnv1a("foobar") == 0x85944171f73967e8);
  CHECK(fnv1a("abc") == 0xe71fa2190541574b);
  CHECK(fnv1a("\xff") == 0xaf64724c8602eb6e);
}

TEST_CASE("an error's text has what, object and errno, where it has them") {
  CHECK(Error{ErrorKind::mapping_failed, "cannot read", "table t", EPERM, {}}.message() ==
        "cannot read: table t: Operation not permitted");
  CHECK(Error{ErrorKind::mapping_failed, "cannot read", {}, ENOENT, "more"}.message() ==
        "cannot read: No such file or directory");
  CHECK(Error{ErrorKind::mapping_failed, "cannot read", "table t", 0, {}}.message() ==
        "cannot read: table t");
}

TEST_CASE("an errno of the kernel that the C library does not know does not crash the message") {
  CHECK(Error{ErrorKind::mapping_failed, "cannot read", "table t", 524, {}}.message() ==
        "cannot read: table t: error 524");
  CHECK(Error{ErrorKind::mapping_failed, "cannot read", {}, -1, {}}.message() ==
        "cannot read: error -1");
}

TEST_CASE("a descriptor is closed when its owner goes") {
  int number = -1;
  {
    const UniqueFd fd = some_fd();
    REQUIRE(fd);
    number = fd.get();
    CHECK(is_open(number));
  }
  CHECK_FALSE(is_open(number));
}

TEST_CASE("a moved descriptor has one owner, and the target's old one is closed") {
  UniqueFd first = some_fd();
  UniqueFd second = some_fd();
  const int one = first.get();
  const int two = second.get();
  second = std::move(first);
  CHECK(second.get() == one);
  CHECK(first.get() == -1);  // NOLINT: what a moved-from owner has is the test
  CHECK_FALSE(first);
  CHECK(is_open(one));
  CHECK_FALSE(is_open(two));
  const UniqueFd third(std::move(second));
  CHECK(third.get() == one);
  CHECK(second.get() == -1);  // NOLINT: as above
}

TEST_CASE("a descriptor moved onto itself stays open") {
  UniqueFd fd = some_fd();
  UniqueFd& same = fd;
  const int number = fd.get();
  fd = std::move(same);
  CHECK(fd.get() == number);
  CHECK(is_open(number));
}

TEST_CASE("reset closes once, and none is no descriptor") {
  UniqueFd fd = some_fd();
  const int number = fd.get();
  fd.reset();
  CHECK_FALSE(is_open(number));
  CHECK_FALSE(fd);
  fd.reset();
  CHECK_FALSE(UniqueFd());
  CHECK_FALSE(UniqueFd(-1));
}

TEST_CASE("write_all goes on after a short write, and reports what follows") {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
  const UniqueFd reader(ends[0]);
  const UniqueFd writer(ends[1]);
  errno = 0;
  CHECK_FALSE(write_all(writer.get(), std::string(300'000, 'x')));  // a pipe takes 65,536
  CHECK(errno == EAGAIN);
}

TEST_CASE("write_all writes all, nothing at all too, and reports what it cannot write to") {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  CHECK(write_all(writer.get(), "abc"));
  char buffer[8];
  CHECK(read(reader.get(), buffer, sizeof buffer) == 3);
  CHECK(write_all(writer.get(), ""));
  writer.reset();
  CHECK(read(reader.get(), buffer, sizeof buffer) == 0);
  errno = 0;
  CHECK_FALSE(write_all(reader.get(), "abc"));  // not open for writing
  CHECK(errno == EBADF);
}

TEST_CASE("process name: the file's, as far as the kernel keeps it, wherever the file is") {
  CHECK(has_process_name("/opt/cni/bin/nft-port-mapper", kProcessName));
  CHECK(has_process_name("nft-port-mapper", kProcessName));
  CHECK(has_process_name("/usr/sbin/nft-port-mapperctl", kProcessName));
  CHECK(!has_process_name("/opt/nft-port-mapper/portmap", kProcessName));
  CHECK(!has_process_name("/opt/cni/bin/", kProcessName));
  CHECK(!has_process_name("/opt/cni/bin/nft-port-mappe", kProcessName));
}
