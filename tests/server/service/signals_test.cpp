// A program of its own: signals go to the whole process, so that no thread of gRPC may be there.
#include "server/service/signals.h"

#include <atomic>
#include <csignal>
#include <functional>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/catch.h"

namespace vlaserve {
namespace {

// The exit status of a child process that runs `body` and then exits with 0. It has ten seconds.
int ExitOf(const std::function<void()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(10);
    body();
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  if (!WIFEXITED(status)) return -WTERMSIG(status);
  return WEXITSTATUS(status);
}

void WaitFor(const std::atomic<bool>& flag) {
  while (!flag) usleep(1000);
}

TEST_CASE("the first stop signal calls on_stop and the process goes on") {
  const int number = GENERATE(SIGTERM, SIGINT);
  CHECK(ExitOf([number] {
          BlockStopSignals();
          std::atomic<bool> stopped = false;
          const StopSignals signals([&] { stopped = true; }, std::chrono::seconds(10));
          kill(getpid(), number);
          WaitFor(stopped);
        }) == 0);
}

TEST_CASE("the second stop signal ends the process at once") {
  CHECK(ExitOf([] {
          BlockStopSignals();
          std::atomic<bool> stopped = false;
          const StopSignals signals([&] { stopped = true; }, std::chrono::seconds(10));
          kill(getpid(), SIGTERM);
          WaitFor(stopped);
          kill(getpid(), SIGINT);
          pause();
        }) == 128 + SIGINT);
}

TEST_CASE("a stop that takes longer than the patience ends the process") {
  CHECK(ExitOf([] {
          BlockStopSignals();
          const StopSignals signals([] {}, std::chrono::milliseconds(50));
          kill(getpid(), SIGTERM);
          pause();
        }) == 128 + SIGTERM);
}

TEST_CASE("StopSignals can end without a signal") {
  CHECK(ExitOf([] {
          BlockStopSignals();
          const StopSignals signals([] { _exit(1); }, std::chrono::seconds(10));
        }) == 0);
}

TEST_CASE("writing to a closed connection is not fatal") {
  CHECK(ExitOf([] {
          BlockStopSignals();
          raise(SIGPIPE);
        }) == 0);
}

TEST_CASE("the limit of open files is raised as far as allowed") {
  CHECK(ExitOf([] {
          rlimit limit{};
          getrlimit(RLIMIT_NOFILE, &limit);
          limit.rlim_cur = limit.rlim_max / 2;
          setrlimit(RLIMIT_NOFILE, &limit);
          const Result<uint64_t> raised = RaiseOpenFileLimit();
          rlimit after{};
          getrlimit(RLIMIT_NOFILE, &after);
          if (!raised.ok() || *raised != limit.rlim_max || after.rlim_cur != limit.rlim_max)
            _exit(1);
        }) == 0);
}

}  // namespace
}  // namespace vlaserve
