// A runtime that does not get what the plugin prints: what it was to be told of is undone.
#include <doctest/doctest.h>

#include "tests/support/files.hpp"
#include "tests/support/runtime.hpp"
#include "tests/support/tool.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

// The plugin with another standard output than the runtime's, and a delegate that keeps a diary.
struct Scene {
  Lab lab;
  ScratchDirectory scratch;
  std::string mapping = to_json({{8080, 80}});

  Scene() {
    lab.container("abc", "10.22.0.2/16", "fd00::2/64");
    lab.container("def", "10.22.0.3/16", "fd00::3/64");
    scratch.script("maker", "echo $CNI_COMMAND >> " + scratch.path("diary") +
                                "; cat > /dev/null; [ $CNI_COMMAND = DEL ] || echo '" +
                                lab.previous_result("abc") + "'");
    REQUIRE(Runtime(lab).add("def", {{9090, 80}}) == done);
  }
  [[nodiscard]] std::string chained() const {
    return chained_config("web", lab.previous_result("abc"), mapping, R"("chain":"MESOS-WEB")");
  }
  [[nodiscard]] std::string delegating() const {
    return chained_config("web", "", mapping, R"("chain":"MESOS-WEB","delegate":{"type":"maker"})");
  }
  [[nodiscard]] RunResult call(const std::string& command, const std::string& input,
                               const std::string& redirection) const {
    scratch.script("caller", "exec bash -c '" + redirection + " exec " PLUGIN "'");
    return Plugin{scratch.path("caller"), scratch.path()}.call(lab, lab.host(), command, "abc",
                                                               input);
  }
  [[nodiscard]] std::string now() const { return normalise(listing(lab.host())); }
};

struct Output {
  std::string redirection;
  std::string error;
};
const Output outputs[] = {
    {"exec >&-;", "Bad file descriptor"},
    {"exec >/dev/full;", "No space left on device"},
    {"exec > >(exec true); wait $!;", "Broken pipe"},
};

std::string unprinted(const std::string& error) {
  return "nft-port-mapper: cannot write: standard output: " + error + "\n";
}

}  // namespace

TEST_CASE("unprinted: an ADD whose result nobody gets is undone, in either form") {
  const Scene scene;
  const std::string before = scene.now();
  for (const Output& output : outputs) {
    CAPTURE(output.redirection);
    for (const std::string& config : {scene.chained(), scene.delegating()}) {
      const RunResult added = scene.call("ADD", config, output.redirection);
      CHECK(added.status == 1);
      CHECK(added.err == unprinted(output.error));
      CHECK(difference(scene.now(), before) == "");
    }
    CHECK(tool("", "cat " + scene.scratch.path("diary")) == "ADD\nDEL\n");
    tool("", "rm " + scene.scratch.path("diary"));
  }
}

TEST_CASE("unprinted: what could not be undone either is said") {
  const Scene scene;
  scene.scratch.script("maker", "cat > /dev/null; [ $CNI_COMMAND = ADD ] || exit 3; echo '" +
                                    scene.lab.previous_result("abc") + "'");
  const std::string before = scene.now();
  const RunResult added = scene.call("ADD", scene.delegating(), "exec >/dev/full;");
  CHECK(added.status == 1);
  CHECK(added.err == unprinted("No space left on device") +
                         "nft-port-mapper: after the failed ADD, delegate DEL ended with exit "
                         "status 3: " +
                         scene.scratch.path("maker") + "\n");
  CHECK(difference(scene.now(), before) == "");
}

TEST_CASE("unprinted: an answer that nobody gets is a failure of every command") {
  const Scene scene;
  for (const Output& output : outputs) {
    CAPTURE(output.redirection);
    const RunResult version = scene.call("VERSION", "{}", output.redirection);
    CHECK(version.status == 1);
    CHECK(version.err == unprinted(output.error));
    const RunResult error = scene.call("ADD", "nonsense", output.redirection);
    CHECK(error.status == 1);
    CHECK(error.err.ends_with(unprinted(output.error)));
  }
}

TEST_CASE("unprinted: with 0, 1 and 2 closed, no socket is taken for one of them") {
  const Scene scene;
  const std::string before = scene.now();
  const std::string closing[] = {"",     "<&-",      ">&-",      "<&- >&-",
                                 "2>&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"};
  for (int closed = 0; closed < 8; ++closed) {
    CAPTURE(closing[closed]);
    const bool gets_all = (closed & 3) == 0;
    const RunResult added = scene.call("ADD", scene.chained(), "exec " + closing[closed] + ";");
    CHECK(added.status == (gets_all ? 0 : 1));
    CHECK((difference(scene.now(), before) == "") == !gets_all);
    if ((closed & 3) == 1)
      CHECK(added.out ==
            "{\"cniVersion\":\"1.1.0\",\"code\":100,\"msg\":\"cannot read: standard input: Bad "
            "file descriptor\"}\n");
    const RunResult deleted = scene.call("DEL", scene.chained(), "exec " + closing[closed] + ";");
    CHECK(deleted.status == ((closed & 1) == 0 ? 0 : 1));
    if (gets_all) CHECK(difference(scene.now(), before) == "");
  }
}
