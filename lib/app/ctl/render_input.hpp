// Render input: what an ADD would get on stdin for a file that `render` shows.
//
//   const Result<RenderInput> input = render_input(text, arguments);
//   use(input->config, input->notes);
//
// A configuration as a runtime hands it on is taken as it is. Of a list our plugin's part is taken, with
// what a runtime adds: port mappings, if the plugin asks for them, and the result of the plugins before
// ours. Both come from --publish and --address, and where those are missing from an example: 8080/tcp to
// port 80, of the second address of each subnet that the list names. `notes` says what was made up.
// Errors: invalid_input: a list without nft-port-mapper, or options that are no ports or addresses. A text
// that is no JSON is returned as it is: whoever parses it says so.
// Source: CNI SPEC.md section 4, "Deriving execution configuration".
#pragma once

#include <string>
#include <vector>

#include "lib/app/ctl/options.hpp"
#include "lib/base/error.hpp"

namespace portmapper::ctl {

struct RenderInput {
  std::string config;
  std::vector<std::string> notes{};
};

Result<RenderInput> render_input(const std::string& text, const Arguments& arguments);

}  // namespace portmapper::ctl
