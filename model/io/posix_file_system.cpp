#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/io/file_system.h"
#include "model/io/posix_descriptor.h"
#include "model/io/posix_file_lock.h"
#include "model/io/posix_mapped_file.h"
#include "model/io/posix_writable_file.h"

namespace vlaserve {
namespace {

// The size of an open regular file.
Result<size_t> RegularFileSize(const Descriptor& descriptor, const std::string& path) {
  struct stat info {};
  if (::fstat(descriptor.get(), &info) != 0) return ErrnoStatus(path, "open", errno);
  if (S_ISDIR(info.st_mode)) return ErrnoStatus(path, "open as a file", EISDIR);
  if (!S_ISREG(info.st_mode)) return Status(StatusCode::kUnreadable, path + ": not a regular file");
  return static_cast<size_t>(info.st_size);
}

class PosixScratchFile : public ScratchFile {
 public:
  PosixScratchFile(std::string path, Descriptor descriptor)
      : path_(std::move(path)), descriptor_(std::move(descriptor)) {}

  Status Append(std::span<const std::byte> bytes) override {
    if (!WriteAll(descriptor_, bytes)) return ErrnoStatus(path_, "write", errno);
    size_ += bytes.size();
    return Status::Ok();
  }

  Result<std::shared_ptr<const MappedFile>> Map() override {
    return MapDescriptor(descriptor_, size_, path_);
  }

 private:
  std::string path_;  // the name it had
  Descriptor descriptor_;
  size_t size_ = 0;
};

class Posix : public FileSystem {
 public:
  Result<std::shared_ptr<const MappedFile>> Map(const std::string& path) override {
    VLASERVE_RETURN_IF_ERROR(CheckPosixPath(path));
    // O_NONBLOCK: a pipe must be refused below, not waited for.
    const Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!descriptor.valid()) return ErrnoStatus(path, "open", errno);
    VLASERVE_ASSIGN_OR_RETURN(const size_t size, RegularFileSize(descriptor, path));
    return MapDescriptor(descriptor, size, path);
  }

  Result<std::string> Read(const std::string& path, size_t max_bytes) override {
    VLASERVE_RETURN_IF_ERROR(CheckPosixPath(path));
    const Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!descriptor.valid()) return ErrnoStatus(path, "open", errno);
    constexpr size_t kPortion = size_t{1} << 20;
    std::string content;
    size_t filled = 0;
    while (true) {
      // One byte more than allowed tells "as large as allowed" from "larger".
      content.resize(filled + std::min(kPortion, max_bytes - filled) + 1);
      const ssize_t got =
          ::read(descriptor.get(), content.data() + filled, content.size() - filled);
      if (got < 0) {
        if (errno == EINTR) continue;
        return ErrnoStatus(path, "read", errno);
      }
      if (got == 0) break;
      filled += static_cast<size_t>(got);
      if (filled > max_bytes) {
        return Status(StatusCode::kUnreadable,
                      path + ": larger than the limit of " + std::to_string(max_bytes) + " bytes");
      }
    }
    content.resize(filled);
    return content;
  }

  Result<std::unique_ptr<WritableFile>> CreateAtomically(const std::string& path) override {
    VLASERVE_RETURN_IF_ERROR(CheckPosixPath(path));
    return CreatePosixFile(path);
  }

  Result<std::unique_ptr<ScratchFile>> CreateScratch(const std::string& directory) override {
    VLASERVE_RETURN_IF_ERROR(CheckPosixPath(directory));
    std::string path = JoinPath(directory, ".vlaserve-scratch-XXXXXX");
    Descriptor descriptor(::mkostemp(path.data(), O_CLOEXEC));
    if (!descriptor.valid()) return ErrnoStatus(path, "create", errno);
    if (::unlink(path.c_str()) != 0) return ErrnoStatus(path, "unlink", errno);
    return {std::make_unique<PosixScratchFile>(std::move(path), std::move(descriptor))};
  }

  bool IsFile(const std::string& path) override {
    struct stat info {};
    return CheckPosixPath(path).ok() && ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
  }

  bool IsDirectory(const std::string& path) override {
    struct stat info {};
    return CheckPosixPath(path).ok() && ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  }

  Result<std::vector<std::string>> List(const std::string& path) override {
    VLASERVE_RETURN_IF_ERROR(CheckPosixPath(path));
    std::error_code error;
    std::filesystem::directory_iterator entry(path, error);
    std::vector<std::string> names;
    while (!error && entry != std::filesystem::directory_iterator()) {
      names.push_back(entry->path().filename().string());
      entry.increment(error);
    }
    if (error) return ErrnoStatus(path, "list", error.value());
    std::sort(names.begin(), names.end());
    return names;
  }

  Status CreateDirectories(const std::string& path) override {
    VLASERVE_RETURN_IF_ERROR(CheckPosixPath(path));
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) return ErrnoStatus(path, "create directory", error.value());
    if (!IsDirectory(path)) return ErrnoStatus(path, "create directory", EEXIST);
    return Status::Ok();
  }

  Status CreatePrivateDirectories(const std::string& path) override {
    VLASERVE_RETURN_IF_ERROR(CheckPosixPath(path));
    for (size_t end = 0; end < path.size();) {
      end = std::min(path.find('/', end + 1), path.size());
      const std::string part = path.substr(0, end);
      if (::mkdir(part.c_str(), 0700) == 0 || errno == EEXIST || IsDirectory(part)) continue;
      return ErrnoStatus(path, "create directory", errno);
    }
    if (!IsDirectory(path)) return ErrnoStatus(path, "create directory", EEXIST);
    return Status::Ok();
  }

  Result<std::unique_ptr<WritableFile>> CreateEntry(const std::string& path,
                                                    uint64_t bytes) override {
    VLASERVE_RETURN_IF_ERROR(CheckPosixPath(path));
    return CreatePosixEntry(path, bytes);
  }

  Result<std::shared_ptr<const MappedFile>> MapEntry(const std::string& path) override {
    VLASERVE_RETURN_IF_ERROR(CheckPosixPath(path));
    Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!descriptor.valid()) {
      if (errno != ELOOP) return ErrnoStatus(path, "open", errno);
      return Status(StatusCode::kUnreadable, path + ": is a symbolic link");
    }
    VLASERVE_ASSIGN_OR_RETURN(const size_t size, RegularFileSize(descriptor, path));
    // If it fails, the file may be removed, which does not harm its mapping.
    ::flock(descriptor.get(), LOCK_SH | LOCK_NB);
    return MapAndKeep(std::move(descriptor), size, path);
  }

  Result<bool> RemoveUnused(const std::string& path) override {
    VLASERVE_RETURN_IF_ERROR(CheckPosixPath(path));
    return RemoveUnusedPosixFile(path);
  }

  Status Remove(const std::string& path) override {
    VLASERVE_RETURN_IF_ERROR(CheckPosixPath(path));
    if (std::remove(path.c_str()) != 0) return ErrnoStatus(path, "remove", errno);
    return Status::Ok();
  }

  Status Touch(const std::string& path) override {
    VLASERVE_RETURN_IF_ERROR(CheckPosixPath(path));
    if (::utimensat(AT_FDCWD, path.c_str(), nullptr, AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoStatus(path, "touch", errno);
    }
    return Status::Ok();
  }

  Result<FileInfo> Stat(const std::string& path) override {
    VLASERVE_RETURN_IF_ERROR(CheckPosixPath(path));
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) return ErrnoStatus(path, "look at", errno);
    FileInfo result;
    if (S_ISREG(info.st_mode)) result.kind = FileInfo::Kind::kFile;
    if (S_ISDIR(info.st_mode)) result.kind = FileInfo::Kind::kDirectory;
    if (S_ISLNK(info.st_mode)) result.kind = FileInfo::Kind::kSymbolicLink;
    result.bytes = static_cast<uint64_t>(info.st_size);
    result.modified_unix_ns =
        int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + int64_t{info.st_mtim.tv_nsec};
    result.trusted_owner = info.st_uid == ::geteuid() || info.st_uid == 0;
    result.permissions = static_cast<uint32_t>(info.st_mode) & 07777U;
    return result;
  }

  Result<std::unique_ptr<FileLock>> Lock(const std::string& path,
                                         std::chrono::milliseconds timeout) override {
    VLASERVE_RETURN_IF_ERROR(CheckPosixPath(path));
    return LockPosixFile(path, timeout);
  }
};

}  // namespace

FileSystem& PosixFileSystem() {
  static Posix files;
  return files;
}

}  // namespace vlaserve
