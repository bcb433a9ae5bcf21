#include "model/io/posix_writable_file.h"

#include <cerrno>
#include <filesystem>
#include <random>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/io/posix_descriptor.h"

namespace vlaserve {
namespace {

constexpr int kAttempts = 1000;

std::string ParentDirectory(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? std::string(".") : parent;
}

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

  // Takes room on disk without changing the file's size.
  Status Reserve(uint64_t bytes) {
    if (bytes == 0) return Status::Ok();
    while (::fallocate(descriptor_.get(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)) != 0) {
      // A file system that cannot reserve will say so when it is written to.
      if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL) return Status::Ok();
      if (errno != EINTR) return Fail("reserve " + std::to_string(bytes) + " bytes", errno);
    }
    return Status::Ok();
  }

  Status Append(std::span<const std::byte> bytes) override {
    VLASERVE_RETURN_IF_ERROR(CheckOpen());
    if (!WriteAll(descriptor_, bytes)) return Fail("write", errno);
    return Status::Ok();
  }

  Status Commit() override {
    VLASERVE_RETURN_IF_ERROR(CheckOpen());
    if (::fsync(descriptor_.get()) != 0) return Fail("write to disk", errno);
    // Renamed before it is closed, because closing gives up the lock of an entry.
    if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) return Fail("rename", errno);
    state_ = State::kCommitted;
    if (descriptor_.Close() != 0) return ErrnoStatus(path_, "close", errno);
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
    const std::string directory = ParentDirectory(path_);
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

std::string RandomHex() {
  std::random_device device;
  constexpr std::string_view kDigits = "0123456789abcdef";
  uint64_t bits = uint64_t{device()} << 32 | device();
  std::string text;
  for (int i = 0; i < 16; ++i, bits >>= 4) text.push_back(kDigits[bits & 0xF]);
  return text;
}

// Locks a new temporary file. False if RemoveUnused took it for abandoned just before.
bool LockNew(const Descriptor& descriptor) {
  while (::flock(descriptor.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return true;  // a file system without locks: nobody can have taken one
  }
  struct stat info {};
  return ::fstat(descriptor.get(), &info) != 0 || info.st_nlink > 0;
}

}  // namespace

Result<std::unique_ptr<WritableFile>> CreatePosixFile(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    return Status(StatusCode::kUnreadable,
                  path + ": cannot be replaced: exists and is not a regular file");
  }
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

Result<std::unique_ptr<WritableFile>> CreatePosixEntry(const std::string& path, uint64_t bytes) {
  const std::string prefix =
      JoinPath(ParentDirectory(path), ".tmp." + std::to_string(::getpid()) + ".");
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::string temporary_path = prefix + RandomHex();
    Descriptor descriptor(
        ::open(temporary_path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!descriptor.valid()) {
      if (errno == EEXIST) continue;
      return ErrnoStatus(path, "create", errno);
    }
    if (!LockNew(descriptor)) continue;
    auto file =
        std::make_unique<PosixWritableFile>(path, std::move(temporary_path), std::move(descriptor));
    VLASERVE_RETURN_IF_ERROR(file->Reserve(bytes));
    return {std::move(file)};
  }
  return Status(StatusCode::kIo, path + ": cannot create a temporary file " + prefix + "*");
}

}  // namespace vlaserve
