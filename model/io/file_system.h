// The file-system seam: everything below server/ reads and writes files through this interface, so
// that tests can inject faults (short reads, full disks, a crash between write and rename).
//
// Paths are passed through unchanged. All failures name the path; "not there" is kNotFound, "not
// allowed" and I/O errors are kIo, a directory where a file is expected is kUnreadable.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/io/status.h"

namespace vlaserve {

// A file mapped read-only into memory for as long as the object lives. The bytes must not be
// changed by anybody meanwhile: writers of this project only ever rename complete files into place.
// Thread-safety: the bytes may be read by any thread.
class MappedFile {
 public:
  virtual ~MappedFile() = default;
  virtual std::span<const std::byte> bytes() const = 0;
  // Tells the kernel that the pages of [offset, offset + size) are not needed any more (the inner
  // whole pages; they are read again from the file if touched). Best effort.
  virtual void Release(size_t offset, size_t size) const = 0;
};

// A file being written under a temporary name in the target's directory. Commit makes it durable
// (fsync of file and directory) and visible under its name in one step; a WritableFile destroyed
// without Commit leaves nothing behind. Not thread-safe.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  virtual Status Append(std::span<const std::byte> bytes) = 0;
  virtual Status Commit() = 0;
};

// Room on disk for what does not fit into memory: a file without a name, gone with the object (or
// the process). Not thread-safe.
class ScratchFile {
 public:
  virtual ~ScratchFile() = default;
  virtual Status Append(std::span<const std::byte> bytes) = 0;
  // What was appended; outlives this object. Nothing may be appended afterwards.
  virtual Result<std::shared_ptr<const MappedFile>> Map() = 0;
};

// Held (flock, LOCK_EX) while the object lives; the operating system lets go of it when the process
// ends, however that happens. It excludes other holders in this process as well.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

// What Stat says of an entry of a directory.
struct FileInfo {
  enum class Kind { kFile, kDirectory, kSymbolicLink, kOther };

  Kind kind = Kind::kOther;
  uint64_t bytes = 0;
  int64_t modified_unix_ns = 0;
  bool trusted_owner = false;  // this process's user, or root
  uint32_t permissions = 0;    // 0755 …
};

// Thread-safe.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual Result<std::shared_ptr<const MappedFile>> Map(const std::string& path) = 0;
  // The whole file; kUnreadable if it is larger than `max_bytes`.
  virtual Result<std::string> Read(const std::string& path, size_t max_bytes) = 0;
  virtual Result<std::unique_ptr<WritableFile>> CreateAtomically(const std::string& path) = 0;
  virtual Result<std::unique_ptr<ScratchFile>> CreateScratch(const std::string& directory) = 0;
  virtual bool IsFile(const std::string& path) = 0;
  virtual bool IsDirectory(const std::string& path) = 0;
  // Names (not paths) of the entries of a directory, sorted.
  virtual Result<std::vector<std::string>> List(const std::string& path) = 0;
  // Creates the directory and its parents; ok if it exists.
  virtual Status CreateDirectories(const std::string& path) = 0;

  // The rest is for folders in which several processes keep files for each other.

  // As CreateDirectories; what is new may be used by this user alone (0700).
  virtual Status CreatePrivateDirectories(const std::string& path) = 0;
  // As CreateAtomically, for a file of `bytes` bytes that this user alone may use (0600). Room on
  // disk is reserved at once, so that a full disk is noticed before the work. The temporary name is
  // ".tmp.PID.RANDOM"; while it is being written, RemoveUnused leaves the file alone.
  virtual Result<std::unique_ptr<WritableFile>> CreateEntry(const std::string& path,
                                                            uint64_t bytes) = 0;
  // As Map, but a symbolic link at `path` is kUnreadable, and RemoveUnused leaves the file alone
  // while the mapping lives (where the file system has locks).
  virtual Result<std::shared_ptr<const MappedFile>> MapEntry(const std::string& path) = 0;
  // Removes a file unless it is being written (CreateEntry) or mapped (MapEntry) by any process;
  // true if it was removed. A file whose writer died is in nobody's use. kUnreadable for what is
  // not a regular file.
  virtual Result<bool> RemoveUnused(const std::string& path) = 0;
  // Removes a file of any kind, a symbolic link itself, or an empty directory.
  virtual Status Remove(const std::string& path) = 0;
  // Sets the time of modification to now.
  virtual Status Touch(const std::string& path) = 0;
  // A symbolic link is not followed ("LINK/." names the directory that it leads to).
  virtual Result<FileInfo> Stat(const std::string& path) = 0;
  // Waits for the lock of the file at `path`, which is created (0600) if there is none; null if
  // others held it for all of `timeout`.
  virtual Result<std::unique_ptr<FileLock>> Lock(const std::string& path,
                                                 std::chrono::milliseconds timeout) = 0;
};

// The operating system's files.
FileSystem& PosixFileSystem();

// CreateAtomically + Append + Commit.
Status WriteFileAtomically(FileSystem& files, const std::string& path, std::string_view content);

// "dir/name", with exactly one slash between.
std::string JoinPath(std::string_view dir, std::string_view name);

}  // namespace vlaserve
