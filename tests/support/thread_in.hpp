// A thread of this process in a network namespace, which keeps it; the process itself stays where it is.
//
//   ThreadIn thread(lab.ns("a"));
//   thread.stop();  // or at its end
//
// It is there when the constructor returns. Errors: a namespace that cannot be entered ends the test.
#pragma once

#include <future>
#include <string>
#include <thread>

#include "tests/support/namespace.hpp"

namespace portmapper::test {

class ThreadIn {
 public:
  explicit ThreadIn(const std::string& ns)
      : thread_([this, ns] {
          enter_namespace(ns);
          inside_.set_value();
          stop_.get_future().wait();
        }) {
    inside_.get_future().wait();
  }
  ~ThreadIn() { stop(); }
  void stop() {
    if (!thread_.joinable()) return;
    stop_.set_value();
    thread_.join();
  }

 private:
  std::promise<void> inside_;
  std::promise<void> stop_;
  std::thread thread_;
};

}  // namespace portmapper::test
