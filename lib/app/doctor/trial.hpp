// Trial: what real connections to one published port came to.
//
//   Trial trial;                              // nobody tried
//   trial.direct = host::Answer::answered;    // from the host to the container's endpoint
//   trial.outside = host::Answer::silent;     // from a client of the doctor's own, to the host
//   trial.own = host::Answer::answered;       // from the host to itself
//
// The outside client stands on an interface of its own (lib/host/test_client), so rules that tell
// interfaces apart may treat it otherwise than others; where our rule did not even count it
// (`was_taken`), something before us, or our own conditions, left it out. Errors: none; untried is
// an answer. Source: lib/host/attempts.
#pragma once

#include "lib/host/attempts.hpp"

namespace portmapper::doctor {

struct Trial {
  host::Answer direct = host::Answer::untried;
  host::Answer outside = host::Answer::untried;
  bool was_taken = true;                     // our table translated the outside client's connection
  host::Answer own = host::Answer::untried;  // from the host to where the port is published
  bool finds_back = true;                    // the host's routes lead answers to the outside client

  [[nodiscard]] bool works() const {
    return outside == host::Answer::answered ||
           (outside == host::Answer::untried && direct == host::Answer::answered);
  }
  // Somebody in the container takes connections at the endpoint.
  [[nodiscard]] bool has_server() const {
    return direct == host::Answer::answered || outside == host::Answer::answered;
  }
};

}  // namespace portmapper::doctor
