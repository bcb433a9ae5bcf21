// The file-system seam: everything below server/ reads and writes files through this interface, so
// that tests can inject faults (short reads, full disks, a crash between write and rename).
//
// Paths are passed through unchanged. All failures name the path; "not there" is kNotFound, "not
// allowed" and I/O errors are kIo, a directory where a file is expected is kUnreadable.
#pragma once

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
};

// The operating system's files.
FileSystem& PosixFileSystem();

// CreateAtomically + Append + Commit.
Status WriteFileAtomically(FileSystem& files, const std::string& path, std::string_view content);

// "dir/name", with exactly one slash between.
std::string JoinPath(std::string_view dir, std::string_view name);

}  // namespace vlaserve
