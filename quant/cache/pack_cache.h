// The pack cache: one content-addressed file per packed layer (quant/pack/PACK_FORMAT.md).
//
// Free of LibTorch. Files appear complete or not at all; every read is checked (header, manifest in
// full, per-array checksum) before a byte is used; whatever does not match is rebuilt with one line
// that says why; a cache that cannot be written never stops a server.
//
// On disk, inside the directory:
//   v2/<kk>/<key>.safetensors    a pack; key = SHA-256 of its manifest, kk its first two digits
//   v2/<kk>/.tmp.<pid>.<random>  one being written (locked) or abandoned by a process that died
//   v2/locks/<key>.lock          held (flock) while a pack is built; empty, never removed
// The folder is named after the format version: other versions have theirs beside it, and nobody
// reads or removes what is in them. A pack in use is mapped and has a shared lock: collecting
// garbage and clearing leave it. Its time of modification is when it was last used.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/io/file_system.h"
#include "model/io/status.h"
#include "quant/pack/packed_layer.h"

namespace vlaserve {

// Identifies a pack by everything that its bytes depend on.
class PackKey {
 public:
  // `manifest`: canonical lines "name value\n" (quant/pack/manifest.h).
  explicit PackKey(std::string manifest);

  const std::string& manifest() const { return manifest_; }
  const std::string& sha256() const { return sha256_; }  // of the manifest, lower-case hexadecimal

 private:
  std::string manifest_;
  std::string sha256_;
};

struct PackCacheOptions {
  enum class Mode { kReadWrite, kReadOnly, kOff };
  enum class OnMismatch { kRebuild, kError };
  enum class Verify { kAlways, kNever };  // checksums of the tensors when a pack is loaded

  std::string directory;  // the format's version folder is made inside of it
  Mode mode = Mode::kReadWrite;
  OnMismatch on_mismatch = OnMismatch::kRebuild;
  Verify verify = Verify::kAlways;
  uint64_t max_bytes = 0;  // least recently used packs above it are removed; 0: no limit
  // How long to wait while another process builds the same pack; then it is built here as well.
  std::chrono::milliseconds lock_timeout = std::chrono::minutes(2);
};

// Where a loaded pack came from.
enum class PackSource { kCache, kBuilt, kBuiltNotStored };

struct LoadedPack {
  PackedLayer layer;
  PackSource source = PackSource::kCache;
};

// What `vlaserve cache ls` shows of an entry.
struct PackCacheEntry {
  std::string sha256;
  uint64_t bytes = 0;
  int64_t last_used_unix_seconds = 0;
  std::string manifest;    // empty if unreadable
  std::string provenance;  // JSON: layer name, vlaserve version, statistics …
  std::string problem;     // empty: sound (Verify), or the header is (List)
};

// Thread-safety: all functions may be called from any thread and by several processes at once.
class PackCache {
 public:
  // One line each for an operator: a rebuild and why, an unwritable folder (once).
  using WarningSink = std::function<void(const std::string& line)>;

  // Creates the folder (0700) unless the cache is read-only or off, and removes temporary files
  // that a process left when it died. An unsafe folder (of another user but root, or writable by
  // group or others) is one warning, and nothing is read from or written to it. One that cannot be
  // written is one warning that names folder, error and the setting to change ("pack_cache.dir"),
  // at once or when it first matters; packs are then read if they are there and kept in memory if
  // they are not. `files` must outlive the cache. kInvalidArgument: an empty directory with mode
  // not kOff.
  static Result<std::unique_ptr<PackCache>> Open(FileSystem& files, const PackCacheOptions& options,
                                                 WarningSink warn);
  ~PackCache();
  PackCache(const PackCache&) = delete;
  PackCache& operator=(const PackCache&) = delete;

  using Build = std::function<Result<PackContents>()>;
  // The pack from the cache, mapped; else built under this key's lock (looked up again once the
  // lock is held), stored and mapped. What cannot be stored is returned from memory. `provenance`:
  // JSON text stored with a new pack. Errors: those of `build`; with OnMismatch::kError also
  // kUnreadable for a pack that does not match its key or is damaged.
  Result<LoadedPack> LoadOrBuild(const PackKey& key, const std::string& provenance,
                                 const Build& build);
  // True if a file with this key exists; nothing of it is checked.
  bool Contains(const PackKey& key) const;

  // What is in the folder, in the order of the keys; headers are read. These four fail with
  // kFailedPrecondition if the cache is off, the folder is unsafe or, for the last two, read-only.
  Result<std::vector<PackCacheEntry>> List() const;
  // List, with every byte of every entry checked.
  Result<std::vector<PackCacheEntry>> Verify() const;
  // Removes abandoned temporary files, unsound entries, and the least recently used ones above
  // max_bytes; entries in use stay. Returns the bytes freed, those that Open freed included.
  Result<uint64_t> CollectGarbage();
  // Removes all entries of this format version; entries in use stay. Returns the bytes freed, as
  // CollectGarbage does.
  Result<uint64_t> Clear();

  const std::string& directory() const;

 private:
  class Impl;
  explicit PackCache(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace vlaserve
