// Process-wide set-up of a server process: stop signals and the limit of open files.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <thread>

#include "model/io/status.h"

namespace vlaserve {

// Blocks SIGTERM and SIGINT in the calling thread and ignores SIGPIPE. To be called in main before
// any other thread exists, so that all threads inherit it and only StopSignals sees the signals.
void BlockStopSignals();

// Raises the soft limit of open files to the hard one; returns the limit now in force. Every
// connection takes a descriptor; those for which none is left are turned away (listener.h).
Result<uint64_t> RaiseOpenFileLimit();

// Waits for SIGTERM or SIGINT on a thread of its own. The first calls `on_stop` there (calling gRPC
// from a signal handler deadlocks); the second, or `patience` passing after the first, ends the
// process at once with 128 + the signal's number. Needs BlockStopSignals.
class StopSignals {
 public:
  StopSignals(std::function<void()> on_stop, std::chrono::milliseconds patience);
  // Ends the thread; a pending second signal has no effect any more.
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

 private:
  void Run();

  const std::function<void()> on_stop_;
  const std::chrono::milliseconds patience_;
  const int wake_fd_;  // eventfd, written by the destructor
  std::thread thread_;
};

}  // namespace vlaserve
