// A pack cache in a temporary folder, and processes that use it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

#include "quant/cache/pack_cache.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {

class CacheFolder {
 public:
  CacheFolder();

  PackCacheOptions options;  // of the caches that Open opens; the directory is this folder's

  // Fails the test if it cannot be opened.
  std::unique_ptr<PackCache> Open(FileSystem& files = PosixFileSystem());

  const std::string& path() const { return options.directory; }
  std::string EntryPath(uint32_t seed) const;
  // Files in the folder, at any depth, whose names begin with ".tmp.".
  std::vector<std::string> Temporaries() const;

  // What all caches of this folder have warned of.
  std::vector<std::string> warnings;

 private:
  TempDir dir_;
};

// Made-up packs, told apart by a number.
PackKey KeyOf(uint32_t seed);
// Counts its calls in `builds` if it is given.
PackCache::Build BuildOf(uint32_t seed, int* builds = nullptr);
bool IsPackOf(uint32_t seed, const PackedLayer& pack);

// Gets the pack of `seed` and fails the test unless it is the right one; says where it came from.
PackSource Serve(PackCache& cache, uint32_t seed, int* builds = nullptr);

// A copy of this process that runs `work` and exits with what it returns.
pid_t Spawn(const std::function<int()>& work);
// The exit code of the process; -1 if a signal ended it.
int Wait(pid_t pid);
// Gives up root if this process has it: permissions then mean something. To be called in a spawned
// process; false if that is not possible.
bool BecomeOrdinaryUser();

}  // namespace vlaserve
