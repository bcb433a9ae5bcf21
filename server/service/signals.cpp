#include "server/service/signals.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <string>
#include <utility>

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace vlaserve {
namespace {

sigset_t StopSet() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

void BlockStopSignals() {
  const sigset_t set = StopSet();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

Result<uint64_t> RaiseOpenFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return Status(StatusCode::kIo,
                  std::string("cannot read the limit of open files: ") + std::strerror(errno));
  }
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
      return Status(StatusCode::kIo,
                    std::string("cannot raise the limit of open files: ") + std::strerror(errno));
    }
  }
  return uint64_t{limit.rlim_cur};
}

StopSignals::StopSignals(std::function<void()> on_stop, std::chrono::milliseconds patience)
    : on_stop_(std::move(on_stop)),
      patience_(patience),
      wake_fd_(eventfd(0, EFD_CLOEXEC)),
      thread_([this] { Run(); }) {}

StopSignals::~StopSignals() {
  const uint64_t one = 1;
  // An eventfd takes eight bytes or the counter is full, which it is not.
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof(one));
  thread_.join();
  close(wake_fd_);
}

void StopSignals::Run() {
  const sigset_t set = StopSet();
  const int signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
  int first = 0;
  auto give_up = std::chrono::steady_clock::time_point::max();
  for (;;) {
    pollfd fds[2] = {{signal_fd, POLLIN, 0}, {wake_fd_, POLLIN, 0}};
    int timeout_ms = -1;
    if (first != 0) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(give_up - std::chrono::steady_clock::now());
      timeout_ms = static_cast<int>(std::clamp<int64_t>(left.count(), 0, INT_MAX));
    }
    const int ready = poll(fds, 2, timeout_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (fds[1].revents != 0) break;
    if (ready == 0) {
      spdlog::critical("the stop takes longer than {} ms: ending at once", patience_.count());
      _exit(128 + first);
    }
    signalfd_siginfo info{};
    if (read(signal_fd, &info, sizeof(info)) != sizeof(info)) continue;
    const int number = static_cast<int>(info.ssi_signo);
    if (first != 0) {
      spdlog::critical("second stop signal ({}): ending at once", strsignal(number));
      _exit(128 + number);
    }
    first = number;
    give_up = std::chrono::steady_clock::now() + patience_;
    spdlog::info("stop signal ({}): finishing what was accepted; once more ends at once",
                 strsignal(number));
    on_stop_();
  }
  close(signal_fd);
}

}  // namespace vlaserve
