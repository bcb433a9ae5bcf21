// Several processes that want the same pack at once.
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "quant/cache/pack_cache.h"
#include "tests/quant/cache/cache_folder.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

// One byte per build, from any process.
class BuildCounter {
 public:
  void Count() const {
    const int fd = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0 || ::write(fd, "x", 1) != 1) ::_exit(99);
    ::close(fd);
  }
  uintmax_t count() const { return fs::exists(path_) ? fs::file_size(path_) : 0; }

 private:
  TempDir dir_;
  std::string path_ = dir_.File("builds");
};

// Gets pack 1; a build takes `build_time` from when it is counted.
int Get(CacheFolder& folder, const BuildCounter& builds, milliseconds build_time) {
  const auto cache = PackCache::Open(PosixFileSystem(), folder.options, {});
  if (!cache.ok()) return 1;
  const auto loaded = (*cache)->LoadOrBuild(KeyOf(1), "{}", [&]() -> Result<PackContents> {
    builds.Count();
    std::this_thread::sleep_for(build_time);
    return BuildOf(1)();
  });
  if (!loaded.ok()) return 2;
  return IsPackOf(1, loaded->layer) ? 0 : 3;
}

void WaitForBuilds(const BuildCounter& builds, uintmax_t count) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (builds.count() < count) {
    REQUIRE(std::chrono::steady_clock::now() < end);
    std::this_thread::sleep_for(milliseconds(1));
  }
}

TEST_CASE("PackCache: two processes that want a pack at once build it once") {
  for (int round = 0; round < 50; ++round) {
    INFO("round " << round);
    CacheFolder folder;
    const BuildCounter builds;
    const auto work = [&] { return Get(folder, builds, milliseconds(2)); };
    const pid_t first = Spawn(work);
    const pid_t second = Spawn(work);
    CHECK(Wait(first) == 0);
    CHECK(Wait(second) == 0);
    CHECK(builds.count() == 1);
    CHECK(folder.Temporaries().empty());
  }
}

TEST_CASE("PackCache: killing the process that builds frees the lock for the one that waits") {
  for (int round = 0; round < 50; ++round) {
    INFO("round " << round);
    CacheFolder folder;
    const BuildCounter builds;
    const pid_t builder = Spawn([&] { return Get(folder, builds, std::chrono::hours(1)); });
    WaitForBuilds(builds, 1);
    const pid_t waiter = Spawn([&] { return Get(folder, builds, milliseconds(0)); });
    std::this_thread::sleep_for(milliseconds(round % 8));
    CHECK(::waitpid(waiter, nullptr, WNOHANG) == 0);  // it waits for the lock
    REQUIRE(::kill(builder, SIGKILL) == 0);
    CHECK(Wait(builder) == -1);
    CHECK(Wait(waiter) == 0);
    CHECK(builds.count() == 2);
    CHECK(folder.Temporaries().empty());
    CHECK(Serve(*folder.Open(), 1) == PackSource::kCache);
  }
}

}  // namespace
}  // namespace vlaserve
