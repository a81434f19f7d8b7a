// nft/commit: what the kernel's answers to a batch become.
#include "nft/commit.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <map>
#include <string>

#include "tests/support/example.hpp"
#include "tests/support/replies.hpp"
#include "tests/support/requests.hpp"

using namespace portmapper;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

// The text of the error that the answer becomes; "" for success.
std::string outcome(const Transaction& transaction, const Replies& answer,
                    int expected_error_number = 0) {
  FakeTransport kernel;
  kernel.answers.push_back(answer);
  const Status status = to_status(commit(kernel, transaction), transaction);
  CHECK(kernel.requests.size() == 1);
  CHECK(kernel.peeks == 0);
  if (status) return "";
  CHECK(status.error().kind == ErrorKind::mapping_failed);
  CHECK(status.error().error_number == expected_error_number);
  return status.error().message();
}

Transaction example() {
  return insertion(example_plan());
}

// Sequence numbers of the example: 1 begins; 2 to 4 claim, 5 to 7 are targets, 8 owners, 9 and 10
// hairpins; 11 ends.
constexpr std::uint32_t kLast = 10;

std::string dry_run_of(const Replies& answer) {
  FakeTransport kernel;
  kernel.answers.push_back(answer);
  const Transaction tried = hairpins_removal();
  const Status status = to_status(dry_run(kernel, tried), tried);
  CHECK(summaries(requests_in(kernel.requests.front())) ==
        "BEGIN #1\nDELSETELEM #2\nDELSETELEM #3\nNEWTABLE create #4\n"
        "NEWTABLE create exclusive ack #5\nEND #6\n");
  return status ? "" : status.error().message();
}

}  // namespace

TEST_CASE("a batch is taken when its last operation is acknowledged") {
  CHECK(outcome(example(), Replies().acknowledge(kLast)) == "");
}

TEST_CASE("silence is no success") {
  CHECK(outcome(example(), Replies()) == "the kernel did not answer: the batch");
  CHECK(outcome(example(), Replies().generation(1, 7).done(1)) ==
        "the kernel did not answer: the batch");
}

TEST_CASE("a refusal names the element and the errno") {
  CHECK(outcome(example(), Replies().error(2, EEXIST), EEXIST) ==
        "nftables refused: create element inet nft-port-mapper published-ip { tcp . 8080 comment "
        "\"container_id: abc\" }: File exists");
  CHECK(outcome(example(), Replies().error(6, ENOENT), ENOENT) ==
        "nftables refused: create element inet nft-port-mapper MESOS-WEB-hostip { 192.0.2.1 . udp "
        ". 5353 comment \"container_id: abc\" : 10.22.0.2 . 53 }: No such file or directory");
}

TEST_CASE("a refused list of several elements is named by its set") {
  CHECK(outcome(example(), Replies().error(8, ENOENT), ENOENT) ==
        "nftables refused: owners (3 elements): No such file or directory");
}

TEST_CASE("a refusal of what is no element names the operation") {
  const Transaction transaction =
      build_tables({"MESOS-WEB", {}}, std::vector<std::string>{"MESOS-WEB"}, {});
  CHECK(outcome(transaction, Replies().error(2, EOPNOTSUPP), EOPNOTSUPP) ==
        "nftables refused: add table inet nft-port-mapper { comment \"published container ports\"; "
        "}: Operation not supported");
  CHECK(outcome(transaction, Replies().error(21, EBUSY), EBUSY) ==
        "nftables refused: add chain inet nft-port-mapper MESOS-WEB: Device or resource busy");
}

// "No such file or directory" of a rule said nothing to whoever had a kernel without nft_socket.
TEST_CASE("a refusal names the modules that the kernel may lack") {
  const Transaction transaction =
      build_tables({"MESOS-WEB", {}}, std::vector<std::string>{"MESOS-WEB"}, {});
  std::map<std::string, std::string> example_of;  // an operation, by the modules
  for (std::uint32_t i = 0; i < transaction.operations.size(); ++i) {
    const std::string said = outcome(transaction, Replies().error(i + 2, ENOENT), ENOENT);
    const std::string before = " (it takes the kernel's ";
    const std::size_t begin = said.find(before);
    if (begin == std::string::npos) continue;
    const std::size_t end = said.find("): No such file or directory", begin);
    example_of.emplace(said.substr(begin + before.size(), end - begin - before.size()),
                       said.substr(18, begin - 18));
  }
  std::string text;
  for (const auto& [modules, operation] : example_of) text += modules + ": " + operation + "\n";
  CHECK(
      text ==
      "nft_chain_nat: add chain inet nft-port-mapper prerouting { type nat hook prerouting "
      "priority -99; policy accept; }\n"
      "nft_ct, nft_masq: add rule inet nft-port-mapper postrouting ct status dnat ct label 127 ip "
      "saddr . ip daddr @hairpin-ip masquerade\n"
      "nft_ct, nft_nat: add rule inet nft-port-mapper MESOS-WEB meta nfproto ipv4 ct label set 127 "
      "dnat ip to ip daddr . meta l4proto . th dport map @MESOS-WEB-hostip\n"
      "nft_fib_inet: add rule inet nft-port-mapper prerouting fib daddr type != local return\n"
      "nft_socket: add rule inet nft-port-mapper any-address socket wildcard 0 return\n");
}

TEST_CASE("the kernel's own words are kept") {
  CHECK(outcome(example(), Replies().error(9, EOPNOTSUPP, "Interval sets are not built in"),
                EOPNOTSUPP) ==
        "nftables refused: hairpin-ip (2 elements) (Interval sets are not built in): "
        "Operation not supported");
}

TEST_CASE("of several refusals the first is told, acknowledged or not") {
  CHECK(outcome(example(),
                Replies().error(2, EEXIST).error(5, ENOENT).error(9, ENOENT).acknowledge(kLast),
                EEXIST) ==
        "nftables refused: create element inet nft-port-mapper published-ip { tcp . 8080 comment "
        "\"container_id: abc\" }: File exists");
}

TEST_CASE("a moved generation is told as that, not as the first operation") {
  Transaction transaction = example();
  transaction.generation = 7;
  CHECK(outcome(transaction, Replies().error(1, ERESTART), ERESTART) ==
        "nftables refused: the ruleset generation: Interrupted system call should be restarted");
}

TEST_CASE("a refusal of no operation is the batch's") {
  CHECK(outcome(example(), Replies().error(13, EINVAL), EINVAL) ==
        "nftables refused: the batch: Invalid argument");
  CHECK(outcome(example(), Replies().error(4000000000U, EINVAL), EINVAL) ==
        "nftables refused: the batch: Invalid argument");
  CHECK(outcome(example(), Replies().error(0, EINVAL), EINVAL) ==
        "nftables refused: the batch: Invalid argument");
}

TEST_CASE("what the socket says is the error, unless the kernel refused something before") {
  FakeTransport kernel;
  kernel.failure =
      Error{ErrorKind::mapping_failed, "cannot receive", "netlink socket", ENOBUFS, {}};
  kernel.answers.push_back(Replies().acknowledge(kLast));
  Status status = to_status(commit(kernel, example()), example());
  REQUIRE_FALSE(status);
  CHECK(status.error().message() == "cannot receive: netlink socket: No buffer space available");
  kernel.answers.push_back(Replies().error(8, EEXIST));
  status = to_status(commit(kernel, example()), example());
  REQUIRE_FALSE(status);
  CHECK(status.error().message() == "nftables refused: owners (3 elements): File exists");
}

TEST_CASE("what is sent is the encoded transaction") {
  FakeTransport kernel;
  kernel.answers.push_back(Replies().acknowledge(3));
  Transaction transaction = hairpins_removal();
  transaction.generation = 5;
  CHECK(commit(kernel, transaction));
  const auto requests = requests_in(kernel.requests.front());
  CHECK(summaries(requests) == "BEGIN #1\nDELSETELEM #2\nDELSETELEM ack #3\nEND #4\n");
  CHECK(dump(requests.front().attributes()) == "1: 00000005");
}

TEST_CASE("a dry run succeeds when only what must be refused was") {
  CHECK(dry_run_of(Replies().error(5, EEXIST)) == "");
  CHECK(dry_run_of(Replies().error(5, EEXIST, "there is one")) == "");
}

TEST_CASE("a dry run fails with any other refusal, and where nothing was refused") {
  CHECK(dry_run_of(Replies().error(2, EPERM).error(5, EEXIST)) ==
        "nftables refused: flush set inet nft-port-mapper hairpin-ip: Operation not permitted");
  CHECK(dry_run_of(Replies().error(2, ENOENT).error(5, EEXIST)) ==
        "nftables refused: flush set inet nft-port-mapper hairpin-ip: No such file or directory");
  CHECK(dry_run_of(Replies().error(3, EEXIST).error(5, EEXIST)) ==
        "nftables refused: flush set inet nft-port-mapper hairpin-ip6: File exists");
  CHECK(dry_run_of(Replies().error(5, EPERM)) ==
        "nftables refused: the batch: Operation not permitted");
  CHECK(dry_run_of(Replies()) == "the kernel did not answer: the batch");
}
