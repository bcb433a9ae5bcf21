#include "quant/cache/pack_cache.h"

#include <atomic>
#include <filesystem>
#include <set>
#include <thread>

#include <sys/stat.h>
#include <unistd.h>

#include "quant/cache/default_directory.h"
#include "tests/quant/cache/cache_folder.h"
#include "tests/support/catch.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/matchers.h"

namespace vlaserve {
namespace {

namespace fs = std::filesystem;

uint32_t Permissions(const std::string& path) {
  return static_cast<uint32_t>(fs::status(path).permissions());
}

// Lets an entry look as if it had last been used `seconds` ago.
void Age(const std::string& path, int seconds) {
  fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::seconds(seconds));
}

TEST_CASE("PackCache: a pack is built once, then comes from its file") {
  CacheFolder folder;
  int builds = 0;
  CHECK_FALSE(folder.Open()->Contains(KeyOf(1)));
  CHECK(Serve(*folder.Open(), 1, &builds) == PackSource::kBuilt);
  CHECK(folder.Open()->Contains(KeyOf(1)));
  CHECK(Serve(*folder.Open(), 1, &builds) == PackSource::kCache);
  CHECK(Serve(*folder.Open(), 2, &builds) == PackSource::kBuilt);
  CHECK(builds == 2);
  CHECK(folder.warnings.empty());
  CHECK(fs::is_regular_file(folder.EntryPath(1)));
}

TEST_CASE("PackCache: nobody else may read or write what it makes") {
  CacheFolder folder;
  const mode_t before = ::umask(0);
  Serve(*folder.Open(), 1);
  ::umask(before);
  CHECK(Permissions(folder.path()) == 0700);
  for (const auto& entry : fs::recursive_directory_iterator(folder.path())) {
    INFO(entry.path());
    CHECK(Permissions(entry.path()) == (entry.is_directory() ? 0700U : 0600U));
  }
}

TEST_CASE("PackCache: errors of the build are handed on and leave nothing") {
  CacheFolder folder;
  const auto loaded = folder.Open()->LoadOrBuild(KeyOf(1), "{}", []() -> Result<PackContents> {
    return Status(StatusCode::kInvalidArgument, "quant.weight.bits", "layer x: no");
  });
  CHECK(loaded.status().field() == "quant.weight.bits");
  CHECK_FALSE(folder.Open()->Contains(KeyOf(1)));
  CHECK(folder.Temporaries().empty());
}

TEST_CASE("PackCache: without a folder it must be off") {
  PackCacheOptions options;
  const auto cache = PackCache::Open(PosixFileSystem(), options, {});
  CHECK(cache.status().code() == StatusCode::kInvalidArgument);
  CHECK(cache.status().field() == "pack_cache.dir");
  options.mode = PackCacheOptions::Mode::kOff;
  const auto off = PackCache::Open(PosixFileSystem(), options, {});
  REQUIRE(off.ok());
  CHECK(Serve(**off, 1) == PackSource::kBuiltNotStored);
  CHECK_FALSE((*off)->Contains(KeyOf(1)));
  CHECK((*off)->List().status().code() == StatusCode::kFailedPrecondition);
}

TEST_CASE("PackCache: off, nothing is read or written") {
  CacheFolder folder;
  Serve(*folder.Open(), 1);
  folder.options.mode = PackCacheOptions::Mode::kOff;
  CHECK(Serve(*folder.Open(), 1) == PackSource::kBuiltNotStored);
  CHECK(Serve(*folder.Open(), 2) == PackSource::kBuiltNotStored);
  CHECK_FALSE(fs::exists(folder.EntryPath(2)));
  CHECK(folder.warnings.empty());
}

TEST_CASE("PackCache: read-only, packs are read and nothing is written, not even a folder") {
  CacheFolder folder;
  folder.options.mode = PackCacheOptions::Mode::kReadOnly;
  CHECK(Serve(*folder.Open(), 1) == PackSource::kBuiltNotStored);
  CHECK_FALSE(fs::exists(folder.path()));

  folder.options.mode = PackCacheOptions::Mode::kReadWrite;
  Serve(*folder.Open(), 1);
  folder.options.mode = PackCacheOptions::Mode::kReadOnly;
  CHECK(Serve(*folder.Open(), 1) == PackSource::kCache);
  CHECK(Serve(*folder.Open(), 2) == PackSource::kBuiltNotStored);
  CHECK(folder.Open()->List()->size() == 1);
  CHECK(folder.Open()->CollectGarbage().status().code() == StatusCode::kFailedPrecondition);
  CHECK(folder.Open()->Clear().status().code() == StatusCode::kFailedPrecondition);
  CHECK(folder.warnings.empty());
}

TEST_CASE("PackCache: on_mismatch error, a damaged pack is an error that names the setting") {
  CacheFolder folder;
  Serve(*folder.Open(), 1);
  fs::resize_file(folder.EntryPath(1), 100);
  folder.options.on_mismatch = PackCacheOptions::OnMismatch::kError;
  int builds = 0;
  uint32_t absent = 2;
  for (const auto mode : {PackCacheOptions::Mode::kReadWrite, PackCacheOptions::Mode::kReadOnly}) {
    folder.options.mode = mode;
    const auto cache = folder.Open();
    const Status status = cache->LoadOrBuild(KeyOf(1), "{}", BuildOf(1, &builds)).status();
    CHECK(status.code() == StatusCode::kUnreadable);
    CHECK_THAT(status.message(), Catch::Matchers::StartsWith(folder.EntryPath(1)) &&
                                     ContainsText("pack_cache.on_mismatch"));
    // One that is not there is no mismatch.
    CHECK(Serve(*cache, absent++) != PackSource::kCache);
  }
  CHECK(builds == 0);
}

TEST_CASE("PackCache: verify never skips the checksums of the arrays and nothing else") {
  CacheFolder folder;
  Serve(*folder.Open(), 1);
  std::string content = *PosixFileSystem().Read(folder.EntryPath(1), 1 << 20);
  content.back() = static_cast<char>(content.back() ^ 1);
  REQUIRE(WriteFileAtomically(PosixFileSystem(), folder.EntryPath(1), content).ok());
  folder.options.verify = PackCacheOptions::Verify::kNever;
  const auto loaded = folder.Open()->LoadOrBuild(KeyOf(1), "{}", BuildOf(1));
  REQUIRE(loaded.ok());
  CHECK(loaded->source == PackSource::kCache);
  CHECK_FALSE(IsPackOf(1, loaded->layer));
  folder.options.verify = PackCacheOptions::Verify::kAlways;
  CHECK(Serve(*folder.Open(), 1) == PackSource::kBuilt);
}

TEST_CASE("PackCache: a folder that others could write to is not used at all") {
  CacheFolder folder;
  Serve(*folder.Open(), 1);
  for (const std::string& unsafe : {folder.path(), folder.path() + "/v2"}) {
    for (const mode_t mode : {0770U, 0702U}) {
      folder.warnings.clear();
      REQUIRE(::chmod(unsafe.c_str(), mode) == 0);
      const auto cache = folder.Open();
      CHECK(Serve(*cache, 1) == PackSource::kBuiltNotStored);
      CHECK(Serve(*cache, 2) == PackSource::kBuiltNotStored);
      CHECK_FALSE(cache->Contains(KeyOf(1)));
      CHECK(cache->List().status().code() == StatusCode::kFailedPrecondition);
      REQUIRE(folder.warnings.size() == 1);
      CHECK_THAT(folder.warnings[0], ContainsText(unsafe) && ContainsText("written by others") &&
                                         ContainsText("pack_cache.dir"));
      REQUIRE(::chmod(unsafe.c_str(), 0700) == 0);
    }
  }
  CHECK(Serve(*folder.Open(), 1) == PackSource::kCache);
}

TEST_CASE("PackCache: a folder of another user is not used") {
  if (::geteuid() != 0) {
    WARN("only root can give a folder away: not tested");
    return;
  }
  CacheFolder folder;
  Serve(*folder.Open(), 1);
  REQUIRE(::chown(folder.path().c_str(), 12345, 12345) == 0);
  CHECK(Serve(*folder.Open(), 1) == PackSource::kBuiltNotStored);
  REQUIRE(folder.warnings.size() == 1);
  CHECK_THAT(folder.warnings[0], ContainsText("belongs to another user"));
}

TEST_CASE("PackCache: the folder itself may be a symbolic link") {
  CacheFolder folder;
  const TempDir elsewhere;
  fs::create_directory_symlink(elsewhere.path(), folder.path());
  CHECK(Serve(*folder.Open(), 1) == PackSource::kBuilt);
  CHECK(Serve(*folder.Open(), 1) == PackSource::kCache);
  // What the link leads to counts.
  REQUIRE(::chmod(elsewhere.path().c_str(), 0777) == 0);
  CHECK(Serve(*folder.Open(), 1) == PackSource::kBuiltNotStored);
}

TEST_CASE("PackCache: List and Verify show what is there and what is wrong with it") {
  CacheFolder folder;
  const auto cache = folder.Open();
  REQUIRE(cache->LoadOrBuild(KeyOf(1), R"({"layer":"a"})", BuildOf(1)).ok());
  Serve(*cache, 2);
  Serve(*cache, 3);
  // A flipped bit of the data, which only Verify looks at; and a file in another one's place.
  std::string content = *PosixFileSystem().Read(folder.EntryPath(2), 1 << 20);
  content.back() = static_cast<char>(content.back() ^ 1);
  REQUIRE(WriteFileAtomically(PosixFileSystem(), folder.EntryPath(2), content).ok());
  fs::copy_file(folder.EntryPath(1), folder.EntryPath(3), fs::copy_options::overwrite_existing);

  const auto listed = cache->List();
  const auto verified = cache->Verify();
  REQUIRE(listed.ok());
  REQUIRE(verified.ok());
  REQUIRE(listed->size() == 3);
  REQUIRE(verified->size() == 3);
  for (size_t i = 0; i < 3; ++i) {
    const PackCacheEntry& entry = (*listed)[i];
    const PackCacheEntry& checked = (*verified)[i];
    CHECK(entry.sha256 == checked.sha256);
    if (entry.sha256 == KeyOf(1).sha256()) {
      CHECK(entry.manifest == KeyOf(1).manifest());
      CHECK(entry.provenance == R"({"layer":"a"})");
      CHECK(entry.bytes == fs::file_size(folder.EntryPath(1)));
      CHECK(entry.last_used_unix_seconds > 1'600'000'000);
      CHECK(checked.problem.empty());
    } else if (entry.sha256 == KeyOf(2).sha256()) {
      CHECK(entry.problem.empty());
      CHECK_THAT(checked.problem, ContainsText("does not match its checksum"));
    } else {
      CHECK_THAT(entry.problem, ContainsText("is another pack"));
    }
  }
  CHECK(cache->CollectGarbage().ok());
  CHECK(cache->List()->size() == 1);
}

TEST_CASE("PackCache: above max_bytes the least recently used packs go") {
  CacheFolder folder;
  for (uint32_t seed = 1; seed <= 4; ++seed) Serve(*folder.Open(), seed);
  const uint64_t size = fs::file_size(folder.EntryPath(1));
  for (uint32_t seed = 1; seed <= 4; ++seed) Age(folder.EntryPath(seed), 1000 - int(seed));
  CHECK(Serve(*folder.Open(), 1) == PackSource::kCache);  // the oldest, but now just used

  folder.options.max_bytes = 3 * size + size / 2;
  CHECK(*folder.Open()->CollectGarbage() == size);
  CHECK_FALSE(folder.Open()->Contains(KeyOf(2)));
  CHECK(folder.Open()->Contains(KeyOf(1)));
  // A new pack makes room for itself.
  CHECK(Serve(*folder.Open(), 5) == PackSource::kBuilt);
  CHECK_FALSE(folder.Open()->Contains(KeyOf(3)));
  CHECK(folder.Open()->Contains(KeyOf(4)));
  CHECK(folder.Open()->Contains(KeyOf(5)));
  CHECK(folder.warnings.empty());
}

TEST_CASE("PackCache: packs in use are neither evicted nor cleared, in any process") {
  CacheFolder folder;
  const auto cache = folder.Open();
  auto used = cache->LoadOrBuild(KeyOf(1), "{}", BuildOf(1));
  REQUIRE(used.ok());
  Serve(*cache, 2);
  folder.options.max_bytes = 1;
  CHECK(Wait(Spawn([&] { return folder.Open()->CollectGarbage().ok() ? 0 : 1; })) == 0);
  CHECK(cache->Contains(KeyOf(1)));
  CHECK_FALSE(cache->Contains(KeyOf(2)));
  CHECK(cache->Clear().ok());
  CHECK(cache->Contains(KeyOf(1)));
  CHECK(IsPackOf(1, used->layer));

  used->layer = PackedLayer();
  CHECK(*cache->Clear() > 0);
  CHECK_FALSE(cache->Contains(KeyOf(1)));
  CHECK(cache->List()->empty());
}

TEST_CASE("PackCache: garbage is what a dead process left, not what a living one writes") {
  CacheFolder folder;
  const auto cache = folder.Open();
  Serve(*cache, 1);
  const std::string bucket = fs::path(folder.EntryPath(1)).parent_path().string();
  REQUIRE(WriteFileAtomically(PosixFileSystem(), bucket + "/.tmp.1.abandoned", "half").ok());
  auto writing = PosixFileSystem().CreateEntry(bucket + "/other", 10);
  REQUIRE(writing.ok());
  CHECK(*cache->CollectGarbage() == 4);
  CHECK(folder.Temporaries().size() == 1);
  CHECK((*writing)->Commit().ok());
  CHECK(fs::exists(bucket + "/other"));  // not ours, hence nobody's business
  // Opening it sweeps as well.
  REQUIRE(WriteFileAtomically(PosixFileSystem(), bucket + "/.tmp.1.abandoned", "half").ok());
  folder.Open();
  CHECK(folder.Temporaries().empty());
}

TEST_CASE("PackCache: files of other format versions are left alone") {
  CacheFolder folder;
  Serve(*folder.Open(), 1);
  const std::string other = folder.path() + "/v2/" + std::string(64, 'a') + ".safetensors";
  fs::create_directories(fs::path(other).parent_path());
  REQUIRE(WriteFileAtomically(PosixFileSystem(), other, "of the future").ok());
  CHECK(folder.Open()->CollectGarbage().ok());
  CHECK(folder.Open()->Clear().ok());
  CHECK(fs::exists(other));
  CHECK_FALSE(folder.Open()->Contains(KeyOf(1)));
}

TEST_CASE("PackCache: threads that want the same pack build it once") {
  CacheFolder folder;
  const auto cache = folder.Open();
  std::atomic<int> builds = 0;
  std::atomic<int> served = 0;
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const auto loaded = cache->LoadOrBuild(KeyOf(1), "{}", [&]() -> Result<PackContents> {
        ++builds;
        return BuildOf(1)();
      });
      if (loaded.ok() && IsPackOf(1, loaded->layer)) ++served;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(served == 8);
  CHECK(builds == 1);
}

TEST_CASE("PackCache: a lock held too long is not waited for") {
  CacheFolder folder;
  folder.options.lock_timeout = std::chrono::milliseconds(30);
  const auto cache = folder.Open();
  const auto lock = PosixFileSystem().Lock(
      folder.path() + "/v2/locks/" + KeyOf(1).sha256() + ".lock", std::chrono::milliseconds(0));
  REQUIRE(lock.ok());
  REQUIRE(*lock != nullptr);
  CHECK(Serve(*cache, 1) == PackSource::kBuilt);
  REQUIRE(folder.warnings.size() == 1);
  CHECK_THAT(folder.warnings[0], ContainsText("another process has been building this pack"));
}

TEST_CASE("PackCache: keys are SHA-256 of the manifest") {
  CHECK(PackKey("").sha256() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(PackKey("a 1\n").sha256() != PackKey("a 2\n").sha256());
}

TEST_CASE("DefaultPackCacheDirectory: XDG_CACHE_HOME, then HOME, absolute paths only") {
  CHECK(DefaultPackCacheDirectory({{"XDG_CACHE_HOME", "/x"}, {"HOME", "/h"}}) ==
        "/x/vlaserve/packs");
  CHECK(DefaultPackCacheDirectory({{"XDG_CACHE_HOME", "rel"}, {"HOME", "/h"}}) ==
        "/h/.cache/vlaserve/packs");
  CHECK(DefaultPackCacheDirectory({{"HOME", "/h/"}}) == "/h/.cache/vlaserve/packs");
  CHECK(DefaultPackCacheDirectory({{"HOME", ""}}).empty());
  CHECK(DefaultPackCacheDirectory({}).empty());
}

}  // namespace
}  // namespace vlaserve
