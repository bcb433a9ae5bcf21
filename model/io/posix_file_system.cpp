#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/io/file_system.h"

namespace vlaserve {
namespace {

Status ErrnoStatus(const std::string& path, std::string_view action, int error) {
  StatusCode code = StatusCode::kIo;
  if (error == ENOENT || error == ENOTDIR) code = StatusCode::kNotFound;
  if (error == EISDIR) code = StatusCode::kUnreadable;
  return {code,
          path + ": cannot " + std::string(action) + ": " + std::generic_category().message(error)};
}

// The C interfaces would silently use the part before the NUL.
Status CheckPath(const std::string& path) {
  if (path.find('\0') == std::string::npos) return Status::Ok();
  return {StatusCode::kNotFound, path.substr(0, path.find('\0')) + ": path contains a NUL byte"};
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  // close() with its result, for files that were written.
  int Close() { return ::close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

// False with errno set if not all bytes could be written.
bool WriteAll(const Descriptor& descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor.get(), bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return true;
}

class PosixMappedFile : public MappedFile {
 public:
  PosixMappedFile(std::byte* data, size_t size) : data_(data), size_(size) {}
  PosixMappedFile(const PosixMappedFile&) = delete;
  PosixMappedFile& operator=(const PosixMappedFile&) = delete;
  ~PosixMappedFile() override {
    if (size_ > 0) ::munmap(data_, size_);
  }

  std::span<const std::byte> bytes() const override { return {data_, size_}; }

  void Release(size_t offset, size_t size) const override {
    const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    if (offset >= size_) return;
    size = std::min(size, size_ - offset);
    const size_t begin = (offset + page - 1) / page * page;
    const size_t end = (offset + size) / page * page;
    if (begin < end) ::madvise(data_ + begin, end - begin, MADV_DONTNEED);
  }

 private:
  std::byte* data_;
  size_t size_;
};

Result<std::shared_ptr<const MappedFile>> MapDescriptor(const Descriptor& descriptor, size_t size,
                                                        const std::string& path) {
  if (size == 0) return {std::make_shared<const PosixMappedFile>(nullptr, 0)};
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor.get(), 0);
  if (data == MAP_FAILED) return ErrnoStatus(path, "map", errno);
  return {std::make_shared<const PosixMappedFile>(static_cast<std::byte*>(data), size)};
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

class PosixWritableFile : public WritableFile {
 public:
  PosixWritableFile(std::string path, std::string temporary_path, Descriptor descriptor)
      : path_(std::move(path)),
        temporary_path_(std::move(temporary_path)),
        descriptor_(std::move(descriptor)) {}
  PosixWritableFile(const PosixWritableFile&) = delete;
  PosixWritableFile& operator=(const PosixWritableFile&) = delete;
  ~PosixWritableFile() override {
    if (state_ != State::kCommitted) ::unlink(temporary_path_.c_str());
  }

  Status Append(std::span<const std::byte> bytes) override {
    VLASERVE_RETURN_IF_ERROR(CheckOpen());
    if (!WriteAll(descriptor_, bytes)) return Fail("write", errno);
    return Status::Ok();
  }

  Status Commit() override {
    VLASERVE_RETURN_IF_ERROR(CheckOpen());
    if (::fsync(descriptor_.get()) != 0) return Fail("write to disk", errno);
    if (descriptor_.Close() != 0) return Fail("close", errno);
    if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) return Fail("rename", errno);
    state_ = State::kCommitted;
    return SyncDirectory();
  }

 private:
  enum class State { kOpen, kFailed, kCommitted };

  Status CheckOpen() const {
    if (state_ == State::kOpen) return Status::Ok();
    return {StatusCode::kInternal, path_ + ": written to after Commit or a failure"};
  }

  Status Fail(std::string_view action, int error) {
    state_ = State::kFailed;
    return ErrnoStatus(path_, action, error);
  }

  // Makes the rename itself durable.
  Status SyncDirectory() const {
    const std::string parent = std::filesystem::path(path_).parent_path().string();
    const std::string directory = parent.empty() ? std::string(".") : parent;
    const Descriptor descriptor(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!descriptor.valid()) return ErrnoStatus(directory, "open", errno);
    // EINVAL: a file system whose directories need no sync.
    if (::fsync(descriptor.get()) != 0 && errno != EINVAL) {
      return ErrnoStatus(directory, "write to disk", errno);
    }
    return Status::Ok();
  }

  std::string path_;
  std::string temporary_path_;
  Descriptor descriptor_;
  State state_ = State::kOpen;
};

class Posix : public FileSystem {
 public:
  Result<std::shared_ptr<const MappedFile>> Map(const std::string& path) override {
    VLASERVE_RETURN_IF_ERROR(CheckPath(path));
    // O_NONBLOCK: a pipe must be refused below, not waited for.
    const Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!descriptor.valid()) return ErrnoStatus(path, "open", errno);
    struct stat info {};
    if (::fstat(descriptor.get(), &info) != 0) return ErrnoStatus(path, "open", errno);
    if (S_ISDIR(info.st_mode)) return ErrnoStatus(path, "open as a file", EISDIR);
    if (!S_ISREG(info.st_mode)) {
      return Status(StatusCode::kUnreadable, path + ": not a regular file");
    }
    return MapDescriptor(descriptor, static_cast<size_t>(info.st_size), path);
  }

  Result<std::string> Read(const std::string& path, size_t max_bytes) override {
    VLASERVE_RETURN_IF_ERROR(CheckPath(path));
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
    VLASERVE_RETURN_IF_ERROR(CheckPath(path));
    struct stat info {};
    if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
      return Status(StatusCode::kUnreadable,
                    path + ": cannot be replaced: exists and is not a regular file");
    }
    constexpr int kAttempts = 1000;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      std::string temporary_path =
          path + ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(attempt);
      Descriptor descriptor(
          ::open(temporary_path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
      if (descriptor.valid()) {
        return {std::make_unique<PosixWritableFile>(path, std::move(temporary_path),
                                                    std::move(descriptor))};
      }
      if (errno != EEXIST) return ErrnoStatus(path, "create", errno);
    }
    return Status(StatusCode::kIo, path + ": cannot create: " + std::to_string(kAttempts) +
                                       " temporary files " + path + ".tmp-* exist already");
  }

  Result<std::unique_ptr<ScratchFile>> CreateScratch(const std::string& directory) override {
    VLASERVE_RETURN_IF_ERROR(CheckPath(directory));
    std::string path = JoinPath(directory, ".vlaserve-scratch-XXXXXX");
    Descriptor descriptor(::mkostemp(path.data(), O_CLOEXEC));
    if (!descriptor.valid()) return ErrnoStatus(path, "create", errno);
    if (::unlink(path.c_str()) != 0) return ErrnoStatus(path, "unlink", errno);
    return {std::make_unique<PosixScratchFile>(std::move(path), std::move(descriptor))};
  }

  bool IsFile(const std::string& path) override {
    struct stat info {};
    return CheckPath(path).ok() && ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
  }

  bool IsDirectory(const std::string& path) override {
    struct stat info {};
    return CheckPath(path).ok() && ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  }

  Result<std::vector<std::string>> List(const std::string& path) override {
    VLASERVE_RETURN_IF_ERROR(CheckPath(path));
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
    VLASERVE_RETURN_IF_ERROR(CheckPath(path));
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) return ErrnoStatus(path, "create directory", error.value());
    if (!IsDirectory(path)) return ErrnoStatus(path, "create directory", EEXIST);
    return Status::Ok();
  }
};

}  // namespace

FileSystem& PosixFileSystem() {
  static Posix files;
  return files;
}

}  // namespace vlaserve
