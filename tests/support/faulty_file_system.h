// A file system that fails when told to, in front of a real one.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/io/file_system.h"

namespace vlaserve {

// Not thread-safe.
class FaultyFileSystem : public FileSystem {
 public:
  explicit FaultyFileSystem(FileSystem& real) : real_(real) {}

  // The disk is full from the n-th changing operation on (create, append, commit, create
  // scratch, create directories, lock; counted from 0). An append to a WritableFile that fails
  // so has written half of its bytes.
  void FailFrom(size_t operation) { fail_from_ = operation; }
  // From now on everything that changes the disk fails as on a read-only file system, also to
  // remove and to touch.
  void MakeReadOnly() { read_only_ = true; }
  // The process is killed (SIGKILL) at the n-th changing operation: before it happens or, if it is
  // an append, when half of its bytes are written.
  void KillAt(size_t operation) { kill_at_ = operation; }
  // Changing operations asked for so far.
  size_t operations() const { return operations_; }

  // Map and Read of `path` see only the first `size` bytes, and byte `offset` inverted.
  void Truncate(const std::string& path, size_t size) { truncations_[path] = size; }
  void FlipByte(const std::string& path, size_t offset) { flips_[path] = offset; }

  Result<std::shared_ptr<const MappedFile>> Map(const std::string& path) override;
  Result<std::string> Read(const std::string& path, size_t max_bytes) override;
  Result<std::unique_ptr<WritableFile>> CreateAtomically(const std::string& path) override;
  Result<std::unique_ptr<ScratchFile>> CreateScratch(const std::string& directory) override;
  bool IsFile(const std::string& path) override { return real_.IsFile(path); }
  bool IsDirectory(const std::string& path) override { return real_.IsDirectory(path); }
  Result<std::vector<std::string>> List(const std::string& path) override {
    return real_.List(path);
  }
  Status CreateDirectories(const std::string& path) override;
  Status CreatePrivateDirectories(const std::string& path) override;
  Result<std::unique_ptr<WritableFile>> CreateEntry(const std::string& path,
                                                    uint64_t bytes) override;
  Result<std::shared_ptr<const MappedFile>> MapEntry(const std::string& path) override;
  Result<bool> RemoveUnused(const std::string& path) override;
  Status Remove(const std::string& path) override;
  Status Touch(const std::string& path) override;
  Result<FileInfo> Stat(const std::string& path) override { return real_.Stat(path); }
  Result<std::unique_ptr<FileLock>> Lock(const std::string& path,
                                         std::chrono::milliseconds timeout) override;

 private:
  friend class FaultyWritableFile;
  friend class FaultyScratchFile;

  // Counts one changing operation on `path` and says whether it fails. `halfway` happens before a
  // failure or a kill.
  Status Change(const std::string& path, const std::function<Status()>& halfway = {});
  Status Writable(const std::string& path) const;
  Result<std::shared_ptr<const MappedFile>> DamagedMap(const std::string& path,
                                                       std::shared_ptr<const MappedFile> mapped);
  std::string Damaged(const std::string& path, std::string content) const;

  FileSystem& real_;
  size_t operations_ = 0;
  size_t fail_from_ = static_cast<size_t>(-1);
  size_t kill_at_ = static_cast<size_t>(-1);
  bool read_only_ = false;
  std::map<std::string, size_t> truncations_;
  std::map<std::string, size_t> flips_;
};

}  // namespace vlaserve
