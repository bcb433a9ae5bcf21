// Disks that are full and folders that cannot be written: one warning, packs from memory.
#include <csignal>
#include <filesystem>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "quant/cache/pack_cache.h"
#include "tests/quant/cache/cache_folder.h"
#include "tests/support/catch.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/matchers.h"

namespace vlaserve {
namespace {

namespace fs = std::filesystem;

constexpr int kCannotTest = 77;

bool OneWarning(const CacheFolder& folder, const std::string& reason) {
  if (folder.warnings.size() != 1) return false;
  for (const std::string& part : {folder.path(), reason, std::string("pack_cache.dir")}) {
    if (folder.warnings[0].find(part) == std::string::npos) return false;
  }
  return true;
}

TEST_CASE("PackCache: a disk that is full at any step of a write costs one warning, no pack") {
  size_t operations = 0;
  {
    CacheFolder folder;
    FaultyFileSystem files(PosixFileSystem());
    Serve(*folder.Open(files), 1);
    operations = files.operations();
  }
  for (size_t operation = 0; operation < operations; ++operation) {
    INFO("full from operation " << operation << " of " << operations);
    CacheFolder folder;
    FaultyFileSystem files(PosixFileSystem());
    files.FailFrom(operation);
    {
      const auto cache = folder.Open(files);
      CHECK(Serve(*cache, 1) == PackSource::kBuiltNotStored);
      CHECK(Serve(*cache, 2) == PackSource::kBuiltNotStored);
    }
    CHECK(OneWarning(folder, "No space left on device"));
    CHECK(folder.Temporaries().empty());
    // When there is room again, everything is as usual.
    CHECK(Serve(*folder.Open(), 1) == PackSource::kBuilt);
    CHECK(folder.warnings.size() == 1);
  }
}

TEST_CASE("PackCache: a file size limit of the system is a full disk") {
  CacheFolder folder;
  const int code = Wait(Spawn([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return kCannotTest;
    if (Serve(*folder.Open(), 1) != PackSource::kBuiltNotStored) return 1;
    return OneWarning(folder, "File too large") ? 0 : 2;
  }));
  CHECK(code == 0);
  CHECK(folder.Temporaries().empty());
  CHECK(Serve(*folder.Open(), 1) == PackSource::kBuilt);
}

TEST_CASE("PackCache: a read-only file system serves what it has") {
  CacheFolder folder;
  Serve(*folder.Open(), 1);
  FaultyFileSystem files(PosixFileSystem());
  files.MakeReadOnly();
  const auto cache = folder.Open(files);
  CHECK(Serve(*cache, 1) == PackSource::kCache);
  CHECK(Serve(*cache, 2) == PackSource::kBuiltNotStored);
  CHECK(Serve(*cache, 3) == PackSource::kBuiltNotStored);
  CHECK(OneWarning(folder, "Read-only file system"));
}

TEST_CASE("PackCache: a folder without permission to write serves what it has") {
  CacheFolder folder;
  Serve(*folder.Open(), 1);
  for (const auto& entry : fs::recursive_directory_iterator(folder.path())) {
    REQUIRE(::chmod(entry.path().c_str(), entry.is_directory() ? 0555 : 0444) == 0);
  }
  const std::string parent = fs::path(folder.path()).parent_path().string();
  REQUIRE(::chmod(folder.path().c_str(), 0555) == 0);
  REQUIRE(::chmod(parent.c_str(), 0755) == 0);
  const int code = Wait(Spawn([&] {
    if (!BecomeOrdinaryUser()) return kCannotTest;
    const auto cache = folder.Open();
    if (Serve(*cache, 1) != PackSource::kCache) return 1;
    if (Serve(*cache, 2) != PackSource::kBuiltNotStored) return 2;
    if (Serve(*cache, 3) != PackSource::kBuiltNotStored) return 3;
    return OneWarning(folder, "Permission denied") ? 0 : 4;
  }));
  for (const auto& entry : fs::recursive_directory_iterator(folder.path())) {
    if (entry.is_directory()) ::chmod(entry.path().c_str(), 0700);
  }
  ::chmod(folder.path().c_str(), 0700);
  if (code == kCannotTest) {
    WARN("this process cannot become another user: not tested");
    return;
  }
  CHECK(code == 0);
}

TEST_CASE("PackCache: a folder that cannot even be made costs one warning") {
  CacheFolder folder;
  const TempDir dir;
  folder.options.directory = dir.Write("file", "") + "/packs";
  const auto cache = folder.Open();
  CHECK(Serve(*cache, 1) == PackSource::kBuiltNotStored);
  CHECK(Serve(*cache, 2) == PackSource::kBuiltNotStored);
  CHECK(OneWarning(folder, "Not a directory"));
}

}  // namespace
}  // namespace vlaserve
