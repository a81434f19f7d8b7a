// nft/read/query: what is asked, and which answers are errors.
#include "nft/read/query.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <string>

#include "tests/support/example.hpp"
#include "tests/support/replies.hpp"
#include "tests/support/requests.hpp"

using namespace portmapper;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

const std::string kTableHex = hex(std::string_view("nft-port-mapper\0", 16));

// What one request is: its kind, then table and name.
std::string asked(Query& query) {
  FakeTransport kernel;
  CHECK(query.run(kernel, [](const nlmsghdr&) {}));
  std::string text;
  for (const Request& request : requests_in(kernel.requests.front())) {
    CHECK(request.generic().nfgen_family == 1);  // inet
    text += request.summary() + " " + dump(request.attributes()) + "\n";
  }
  return text;
}

// The text of the error that the answer to one request becomes, "" for success.
std::string outcome(const Replies& answer, int expected_error_number = 0) {
  FakeTransport kernel;
  kernel.answers.push_back(answer);
  Query query;
  query.all_elements("owners");
  const Status status = query.run(kernel, [](const nlmsghdr&) {});
  if (status) return "";
  CHECK(status.error().kind == ErrorKind::mapping_failed);
  CHECK(status.error().error_number == expected_error_number);
  return status.error().message();
}

// The sequence numbers of the replies that are handed on.
std::string handed_on(const Replies& answer) {
  FakeTransport kernel;
  kernel.answers.push_back(answer);
  Query query;
  query.generation();
  std::string text;
  CHECK(query.run(kernel, [&text](const nlmsghdr& reply) {
    if (reply.nlmsg_type != NLMSG_DONE) text += std::to_string(reply.nlmsg_seq) + " ";
  }));
  return text;
}

}  // namespace

TEST_CASE("requests are numbered from 1, in the order they were made") {
  Query query;
  query.generation();
  const Element element{claim_key(published("0.0.0.0", Protocol::tcp, 8080))};
  query.elements("s", {&element, 1});
  query.chain("c");
  query.set("s");
  CHECK(asked(query) ==
        "GETGEN #1 \n"
        "GETSETELEM #2 1: " +
            kTableHex +
            ", 2: 7300, 3: '14000180 '10000180 '0c000100 06000000 1f900000\n"
            "GETCHAIN #3 1: "_native +
            kTableHex +
            ", 3: 6300\n"
            "GETSET #4 1: " +
            kTableHex + ", 2: 7300\n");
}

TEST_CASE("dumps are asked for as dumps") {
  Query elements;
  elements.all_elements("s");
  CHECK(asked(elements) == "GETSETELEM dump #1 1: " + kTableHex + ", 2: 7300\n");
  Query rules;
  rules.all_rules("c");
  CHECK(asked(rules) == "GETRULE dump #1 1: " + kTableHex + ", 2: 6300\n");
  Query chains;
  chains.all_chains();
  CHECK(asked(chains) == "GETCHAIN dump #1 \n");
  Query sets;
  sets.all_sets();
  CHECK(asked(sets) == "GETSET dump #1 1: " + kTableHex + "\n");
}

TEST_CASE("many keys are one request, without data or userdata") {
  std::vector<Element> elements;
  for (int i = 1; i <= 128; ++i)
    elements.push_back(
        {claim_key(published("::", Protocol::tcp, i)), {}, target_data(endpoint("fd00::2", i))});
  Query query;
  query.elements("s", elements);
  FakeTransport kernel;
  CHECK(query.run(kernel, [](const nlmsghdr&) {}));
  const auto requests = requests_in(kernel.requests.front());
  REQUIRE(requests.size() == 1);
  CHECK(element_count(requests[0]) == 128);
  CHECK(attribute_of(requests[0].attributes(), NFTA_SET_ELEM_LIST_ELEMENTS).payload.size() ==
        128 * 20);
}

TEST_CASE("who asks nothing sends nothing: the kernel refuses an empty request (ENODATA)") {
  FakeTransport kernel;
  Query query;
  query.elements("hairpin-ip", {});
  CHECK(query.run(kernel, [](const nlmsghdr&) {}));
  CHECK(kernel.requests.empty());
}

TEST_CASE("what is not there is an answer, not an error") {
  CHECK(outcome(Replies().error(1, ENOENT)) == "");
  CHECK(outcome(Replies().done(1)) == "");
  CHECK(outcome(Replies().acknowledge(1).done(1)) == "");
}

TEST_CASE("silence, whole or after some of the answers, is an error: it does not mean nothing") {
  const std::string silence = "the kernel did not answer: table inet nft-port-mapper";
  CHECK(outcome(Replies()) == silence);
  FakeTransport kernel;
  kernel.answers.push_back(Replies().generation(1, 7));
  Query query;
  query.generation();
  query.table();
  const Status status = query.run(kernel, [](const nlmsghdr&) {});
  REQUIRE_FALSE(status);
  CHECK(status.error().message() == silence);
}

TEST_CASE("every other refusal is an error that names the table") {
  CHECK(outcome(Replies().error(1, EPERM), EPERM) ==
        "cannot read: table inet nft-port-mapper: Operation not permitted");
  CHECK(outcome(Replies().error(1, EOPNOTSUPP), EOPNOTSUPP) ==
        "cannot read: table inet nft-port-mapper: Operation not supported");
  CHECK(outcome(Replies().error(1, EPERM).error(2, ENOENT), EPERM) ==
        "cannot read: table inet nft-port-mapper: Operation not permitted");
}

TEST_CASE("a key that a set of another type cannot have is absent; elsewhere EINVAL is an error") {
  FakeTransport kernel;
  kernel.answers.push_back(Replies().error(1, EINVAL));
  Query query;
  const Element element{claim_key(published("::", Protocol::tcp, 1))};
  query.elements("s", {&element, 1});
  CHECK(query.run(kernel, [](const nlmsghdr&) {}));
  CHECK(outcome(Replies().error(1, EINVAL), EINVAL) ==
        "cannot read: table inet nft-port-mapper (it takes the kernel's nf_tables): Invalid "
        "argument");
}

TEST_CASE("a dump that a change interrupted is told, wherever the kernel says so") {
  const FakeElement element{unhex("06000000 1f900000")};
  CHECK(outcome(Replies().elements(1, {element}, NLM_F_DUMP_INTR).done(1), EINTR) ==
        "cannot read: table inet nft-port-mapper: Interrupted system call");
  CHECK(outcome(Replies()
                    .elements(1, {element})
                    .message(NLMSG_DONE, NLM_F_MULTI | NLM_F_DUMP_INTR, 1, Buffer(4)),
                EINTR) == "cannot read: table inet nft-port-mapper: Interrupted system call");
}

TEST_CASE("what the socket says is told as it is") {
  FakeTransport kernel;
  kernel.failure =
      Error{ErrorKind::mapping_failed, "cannot receive", "netlink socket", ENOBUFS, {}};
  Query query;
  query.generation();
  const Status status = query.run(kernel, [](const nlmsghdr&) {});
  REQUIRE_FALSE(status);
  CHECK(status.error().message() == "cannot receive: netlink socket: No buffer space available");
}

TEST_CASE("replies are handed on with their numbers; acknowledgements and generations are not") {
  const FakeElement element{unhex("06000000 1f900000")};
  CHECK(handed_on(Replies()
                      .generation(1, 7)
                      .elements(2, {element})
                      .acknowledge(2)
                      .elements(3, {element, element})
                      .error(4, ENOENT)
                      .done(3)) == "2 3 ");
}

TEST_CASE("the generation is the last one told, 0 where none or a malformed one was") {
  const auto found = [](const Replies& answer) {
    FakeTransport kernel;
    kernel.answers.push_back(answer);
    Query query;
    query.generation();
    CHECK(query.run(kernel, [](const nlmsghdr&) {}));
    return query.found_generation();
  };
  CHECK(found(Replies().generation(1, 0x01020304)) == 0x01020304);
  CHECK(found(Replies().done(1)) == 0);
  CHECK(found(Replies().nft_message(NFT_MSG_NEWGEN, 1, Attrs())) == 0);
  CHECK(found(Replies().nft_message(NFT_MSG_NEWGEN, 1, Attrs().put(NFTA_GEN_ID, unhex("0102")))) ==
        0);
}

TEST_CASE("a peek asks by peeking") {
  FakeTransport kernel;
  kernel.answers.push_back(Replies().error(1, EPERM));
  Query query;
  query.all_elements("owners");
  const Status status = query.peek(
      kernel, [](const nlmsghdr&) {}, [] { return true; });
  CHECK(kernel.peeks == 1);
  REQUIRE_FALSE(status);
  CHECK(status.error().message() ==
        "cannot read: table inet nft-port-mapper: Operation not permitted");
}
