// Processes killed (SIGKILL) at every step of a write: whoever comes next finds the old pack or
// builds it, and never a part of one.
#include <chrono>
#include <csignal>
#include <random>
#include <thread>

#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "quant/cache/pack_cache.h"
#include "tests/quant/cache/cache_folder.h"
#include "tests/support/catch.h"
#include "tests/support/faulty_file_system.h"

namespace vlaserve {
namespace {

constexpr int kCannotTrace = 77;

// What a process that is going to be killed does.
int Store(CacheFolder& folder, FileSystem& files, uint32_t seed) {
  const auto cache = PackCache::Open(files, folder.options, {});
  if (!cache.ok()) return 1;
  return (*cache)->LoadOrBuild(KeyOf(seed), "{}", BuildOf(seed)).ok() ? 0 : 2;
}

// After a kill: the right pack, no error, nothing left over once the next process has looked.
void CheckSurvived(CacheFolder& folder, uint32_t seed) {
  const auto cache = folder.Open();
  CHECK(folder.Temporaries().empty());
  Serve(*cache, seed);
  CHECK(folder.Open()->Verify()->size() == 1);
  CHECK(folder.Open()->Verify()->front().problem.empty());
  CHECK(Serve(*folder.Open(), seed) == PackSource::kCache);
  CHECK(folder.Temporaries().empty());
  CHECK(folder.warnings.empty());
}

TEST_CASE("PackCache under fire: killed at every operation of a write") {
  size_t operations = 0;
  {
    CacheFolder folder;
    FaultyFileSystem files(PosixFileSystem());
    REQUIRE(Store(folder, files, 1) == 0);
    operations = files.operations();
  }
  REQUIRE(operations >= 8);  // folders, lock, create, several appends, commit
  for (size_t operation = 0; operation < operations; ++operation) {
    INFO("killed at operation " << operation << " of " << operations);
    CacheFolder folder;
    const pid_t pid = Spawn([&] {
      FaultyFileSystem files(PosixFileSystem());
      files.KillAt(operation);
      return Store(folder, files, 1);
    });
    CHECK(Wait(pid) == -1);
    CheckSurvived(folder, 1);
  }
}

// Lets the stopped child `pid` run into `stops` system calls (entries and exits counted) and kills
// it there. False if it came to its end before.
bool KillAtSystemCall(pid_t pid, int stops) {
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);  // its SIGSTOP
  for (int i = 0; i < stops && WIFSTOPPED(status); ++i) {
    REQUIRE(::ptrace(PTRACE_SYSCALL, pid, nullptr, nullptr) == 0);
    REQUIRE(::waitpid(pid, &status, 0) == pid);
  }
  if (!WIFSTOPPED(status)) {
    REQUIRE(WIFEXITED(status));
    REQUIRE(WEXITSTATUS(status) == 0);
    return false;
  }
  REQUIRE(::kill(pid, SIGKILL) == 0);
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return true;
}

TEST_CASE("PackCache under fire: killed before and after every system call of a write") {
  if (Wait(Spawn([] {
        return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 ? 0 : kCannotTrace;
      })) == kCannotTrace) {
    WARN("processes may not be traced here: not tested");
    return;
  }
  int kills = 0;
  for (int stops = 1;; ++stops) {
    INFO("killed at stop " << stops);
    CacheFolder folder;
    const pid_t pid = Spawn([&] {
      ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
      ::raise(SIGSTOP);
      return Store(folder, PosixFileSystem(), 1);
    });
    if (!KillAtSystemCall(pid, stops)) break;
    ++kills;
    CheckSurvived(folder, 1);
  }
  CHECK(kills >= 60);
}

TEST_CASE("PackCache under fire: killed at random moments, again and again in one folder") {
  constexpr uint32_t kPacks = 12;
  CacheFolder folder;
  std::mt19937 random(99);
  for (int round = 0; round < 120; ++round) {
    const pid_t pid = Spawn([&] {
      for (uint32_t seed = 0;; seed = (seed + 1) % kPacks) {
        if (Store(folder, PosixFileSystem(), seed) != 0) return 1;
        // Room for the next write.
        if (!PosixFileSystem().Remove(folder.EntryPath(seed)).ok()) return 2;
      }
    });
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 12000));
    REQUIRE(::kill(pid, SIGKILL) == 0);
    CHECK(Wait(pid) == -1);
    const auto entries = folder.Open()->Verify();
    REQUIRE(entries.ok());
    for (const PackCacheEntry& entry : *entries) CHECK(entry.problem.empty());
    CHECK(folder.Temporaries().empty());
  }
  for (uint32_t seed = 0; seed < kPacks; ++seed) Serve(*folder.Open(), seed);
  CHECK(folder.warnings.empty());
}

}  // namespace
}  // namespace vlaserve
