// The folder of the pack cache: its paths and what lies in it. Private to quant/cache.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/io/file_system.h"
#include "model/io/status.h"

namespace vlaserve {

// Immutable; any thread may call it.
class PackFolder {
 public:
  PackFolder(FileSystem& files, std::string directory);

  const std::string& directory() const { return directory_; }
  std::string EntryPath(std::string_view sha256) const;
  std::string LockPath(std::string_view sha256) const;

  // Makes the folders that every writer needs (0700).
  Status Create() const;
  // kFailedPrecondition if someone else could have put a pack there; ok for a folder that is not
  // there.
  Status CheckSafe() const;

  // Something in the place of an entry, whatever it is.
  struct Entry {
    std::string sha256;  // by its name
    std::string path;
    FileInfo info;
  };
  // In the order of their keys. Files of other names are nobody's business.
  Result<std::vector<Entry>> Entries() const;

  // Removes temporary files that nobody is writing; returns their bytes. All of them, also if some
  // cannot be removed; the error is that of the first such one.
  Result<uint64_t> Sweep() const;
  // Removes an entry unless it is in use; returns the bytes freed. What is no file at all (a
  // symbolic link, a pipe, an empty directory) is removed in any case.
  Result<uint64_t> Remove(const Entry& entry) const;
  // All of these, also if some of them cannot be removed; the error is that of the first such one.
  Result<uint64_t> Remove(const std::vector<Entry>& entries) const;
  // Removes the least recently used entries that are not in use until the rest has at most
  // `max_bytes`; returns the bytes freed.
  Result<uint64_t> Evict(uint64_t max_bytes) const;

 private:
  // Names of the version folder's subfolders that hold entries.
  Result<std::vector<std::string>> Buckets() const;

  FileSystem& files_;
  std::string directory_;
  std::string version_directory_;
};

}  // namespace vlaserve
