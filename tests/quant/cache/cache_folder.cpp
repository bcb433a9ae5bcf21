#include "tests/quant/cache/cache_folder.h"

#include <filesystem>

#include <sys/wait.h>
#include <unistd.h>

#include "tests/quant/pack/sample_packs.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

constexpr int64_t kOutFeatures = 16;
constexpr int64_t kInFeatures = 64;
constexpr int kFailed = 98;
constexpr uid_t kNobody = 65534;

}  // namespace

CacheFolder::CacheFolder() { options.directory = dir_.File("packs"); }

std::unique_ptr<PackCache> CacheFolder::Open(FileSystem& files) {
  auto cache = PackCache::Open(files, options,
                               [this](const std::string& line) { warnings.push_back(line); });
  REQUIRE(cache.ok());
  return *std::move(cache);
}

std::string CacheFolder::EntryPath(uint32_t seed) const {
  const std::string key = KeyOf(seed).sha256();
  return path() + "/v2/" + key.substr(0, 2) + "/" + key + ".safetensors";
}

std::vector<std::string> CacheFolder::Temporaries() const {
  std::vector<std::string> found;
  if (!std::filesystem::exists(path())) return found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path())) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(".tmp.")) found.push_back(entry.path().string());
  }
  return found;
}

PackKey KeyOf(uint32_t seed) {
  return PackKey("format 1\nmade up\nseed " + std::to_string(seed) + "\n");
}

PackCache::Build BuildOf(uint32_t seed, int* builds) {
  return [seed, builds]() -> Result<PackContents> {
    if (builds != nullptr) ++*builds;
    return IntegerPack(kOutFeatures, kInFeatures, seed);
  };
}

bool IsPackOf(uint32_t seed, const PackedLayer& pack) {
  return SamePack(pack, ViewOf(IntegerPack(kOutFeatures, kInFeatures, seed)));
}

PackSource Serve(PackCache& cache, uint32_t seed, int* builds) {
  const auto loaded = cache.LoadOrBuild(KeyOf(seed), "{}", BuildOf(seed, builds));
  INFO((loaded.ok() ? std::string("served") : loaded.status().message()));
  REQUIRE(loaded.ok());
  REQUIRE(IsPackOf(seed, loaded->layer));
  return loaded->source;
}

pid_t Spawn(const std::function<int()>& work) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  // A failed REQUIRE must not go on as a second copy of the test program.
  try {
    ::_exit(work());
  } catch (...) {
    ::_exit(kFailed);
  }
}

int Wait(pid_t pid) {
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool BecomeOrdinaryUser() {
  if (::geteuid() != 0) return true;
  return ::setresgid(kNobody, kNobody, kNobody) == 0 && ::setresuid(kNobody, kNobody, kNobody) == 0;
}

}  // namespace vlaserve
