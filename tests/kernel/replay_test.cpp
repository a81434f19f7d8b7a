// Replay: what runtimes send, through the plugin, against transcripts beside the inputs.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <regex>
#include <sstream>

#include "tests/support/files.hpp"
#include "tests/support/runtime.hpp"

using namespace portmapper;
using namespace portmapper::test;
namespace fs = std::filesystem;

namespace {

// A transcript: lines that begin with "#" are remarks, "$" commands, all others what came of the
// command above them. Commands:
//
//   $ ADD abc title-case.json CNI_IFNAME=eth1 CNI_NETNS  call the plugin for container abc; a file
//                                                        "inputs/..." is of tests/inputs, "-" none
//   $ container abc                                      its network namespace exists from now on
//   $ remove abc                                         and now it is gone
//
// The delegate `bridge` is a script that prints delegate/<CNI_CONTAINERID>.json. With REPLAY_UPDATE
// in the environment the transcripts are written anew; read them before you keep them.
const fs::path directory = fs::path(SHARED_INPUTS).parent_path() / "e2e/replay";

class Replay {
 public:
  Replay() {
    // The bridges that the inputs speak of, so that there are routes to their containers.
    lab_.network("mynet", "10.88.0.1/16", "fd00:88::1/64");
    lab_.network("podman1", "10.89.0.1/16", "fd00:89::1/64");
    lab_.network("nomad", "172.26.64.1/20", "fd00:26::1/64");
    lab_.network("pods", "10.85.0.1/16", "1100:200::1/24");
    scratch_.script("bridge", "{ printf 'delegate %s ' \"$CNI_COMMAND\"; cat; echo; } >>" +
                                  scratch_.path("calls") + "\n[ $CNI_COMMAND != ADD ] || cat " +
                                  (directory / "delegate").string() + "/\"$CNI_CONTAINERID\".json");
  }

  // What one transcript says now. Nothing of the one before it is there any more.
  std::string run_again(const std::string& transcript) {
    run({"nft", "delete", "table", "inet", "nft-port-mapper"}, {.ns = lab_.host()});
    std::string text;
    std::istringstream lines(transcript);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("#")) text += line + "\n";
      if (line.starts_with("$")) text += line + "\n" + command(line);
    }
    return text;
  }

 private:
  std::string command(const std::string& line) {
    std::istringstream words(line.substr(1));
    std::string verb, container, file, word;
    words >> verb >> container;
    if (verb == "container") {
      const std::string ns = lab_.bare(container);
      for (const char* address : {"10.88.0.5/16", "10.88.0.7/16"})  // of the files' results
        run({"ip", "addr", "add", address, "dev", "lo"}, {.ns = ns});
      return "";
    }
    if (verb == "remove") return lab_.remove(container), "";
    words >> file;
    std::vector<std::string> variables;
    while (words >> word) variables.push_back(word);
    const std::string input = file == "-" ? "" : read_file(path_of(file));
    fs::remove(scratch_.path("calls"));
    const RunResult result =
        Plugin{PLUGIN, scratch_.path()}.call(lab_, lab_.host(), verb, container, input, variables);
    const std::string text = told(result, input) + calls() + ports();
    return replaced(text, scratch_.path(), "SCRATCH/");
  }

  static fs::path path_of(const std::string& file) {
    if (file.starts_with("inputs/")) return fs::path(SHARED_INPUTS) / file.substr(7);
    return directory / file;
  }

  static std::string lines(const std::string& head, const std::string& text) {
    std::string result;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) result += head + line + "\n";
    return result;
  }

  static std::string told(const RunResult& result, const std::string& input) {
    std::string text = "exit " + std::to_string(result.status) + "\n";
    const bool is_echo =
        !result.out.empty() && input.find("\"prevResult\":" + result.out) != std::string::npos;
    text += is_echo ? "stdout: the prevResult\n" : lines("stdout: ", result.out);
    return text + lines("stderr: ", result.err);
  }

  std::string calls() const {
    return fs::exists(scratch_.path("calls")) ? read_file(scratch_.path("calls")) : "";
  }

  // Every element of the target maps, and whether claims and owners are as many.
  std::string ports() const {
    static const std::regex set("(set|map) ([^ ]+) \\{[^}]*?elements = \\{([^}]*)\\}");
    static const std::regex element(
        "([^,]+) counter packets [0-9]+ bytes [0-9]+ comment \"container_id: ([^\"]*)\" : ([^,]+)");
    static const std::regex space("[ \n\t]+");
    static const std::regex trailing(" +$");
    const std::string table = std::regex_replace(listing(lab_.host()), space, " ");
    std::vector<std::string> found;
    std::ptrdiff_t claims = 0, owners = 0;
    for (std::sregex_iterator one(table.begin(), table.end(), set), end; one != end; ++one) {
      const std::string name = (*one)[2], elements = (*one)[3];
      const std::ptrdiff_t count = std::count(elements.begin(), elements.end(), '"') / 2;
      if (name.starts_with("published-")) claims += count;
      if (name == "owners") owners += count / 2;
      for (std::sregex_iterator e(elements.begin(), elements.end(), element); e != end; ++e)
        found.push_back("port: " + name + e->str(1) + " : " +
                        std::regex_replace(e->str(3), trailing, "") + " " + e->str(2));
    }
    std::sort(found.begin(), found.end());
    std::string text;
    for (const std::string& port : found) text += port + "\n";
    if (found.empty()) text += "ports: none\n";
    const auto count = static_cast<std::ptrdiff_t>(found.size());
    if (claims != count || owners != count)
      text += "claims: " + std::to_string(claims) + ", owners: " + std::to_string(owners) + "\n";
    return text;
  }

  Lab lab_;
  ScratchDirectory scratch_;
};

}  // namespace

TEST_CASE("replay: what runtimes send ends as its transcript says") {
  std::vector<fs::path> transcripts;
  for (const auto& entry : fs::directory_iterator(directory))
    if (entry.path().extension() == ".expected") transcripts.push_back(entry.path());
  std::sort(transcripts.begin(), transcripts.end());
  CHECK(transcripts.size() > 35);
  Replay replay;
  for (const fs::path& path : transcripts) {
    CAPTURE(path.string());
    const std::string expected = read_file(path);
    const std::string actual = replay.run_again(expected);
    CHECK(actual == expected);
    if (std::getenv("REPLAY_UPDATE") != nullptr) std::ofstream(path) << actual;
  }
}

TEST_CASE("replay: every input is in a transcript") {
  std::string all;
  std::vector<std::string> inputs;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() == ".expected") all += read_file(entry.path());
    if (entry.path().extension() == ".json") inputs.push_back(entry.path().filename());
  }
  for (const auto& entry : fs::directory_iterator(SHARED_INPUTS))
    if (entry.path().extension() == ".json")
      inputs.push_back("inputs/" + entry.path().filename().string());
  CHECK(inputs.size() > 35);
  for (const std::string& input : inputs) {
    CAPTURE(input);
    CHECK((all.find(" " + input + "\n") != std::string::npos ||
           all.find(" " + input + " ") != std::string::npos));
  }
}
