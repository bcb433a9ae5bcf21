#include "model/io/posix_file_lock.h"

#include <algorithm>
#include <cerrno>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/io/posix_descriptor.h"

namespace vlaserve {
namespace {

class PosixFileLock : public FileLock {
 public:
  explicit PosixFileLock(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

 private:
  Descriptor descriptor_;
};

}  // namespace

Result<std::unique_ptr<FileLock>> LockPosixFile(const std::string& path,
                                                std::chrono::milliseconds timeout) {
  // O_NONBLOCK: a pipe in the place of a lock file must not be waited for.
  Descriptor descriptor(
      ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (!descriptor.valid()) return ErrnoStatus(path, "open", errno);
  const auto end = std::chrono::steady_clock::now() + timeout;
  auto pause = std::chrono::milliseconds(1);
  while (::flock(descriptor.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return ErrnoStatus(path, "lock", errno);
    if (std::chrono::steady_clock::now() >= end) return std::unique_ptr<FileLock>();
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds(50));
  }
  return {std::make_unique<PosixFileLock>(std::move(descriptor))};
}

Result<bool> RemoveUnusedPosixFile(const std::string& path) {
  const Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!descriptor.valid()) return ErrnoStatus(path, "open", errno);
  struct stat opened {};
  if (::fstat(descriptor.get(), &opened) != 0) return ErrnoStatus(path, "open", errno);
  if (!S_ISREG(opened.st_mode)) {
    return Status(StatusCode::kUnreadable, path + ": not a regular file");
  }
  // Without locks nothing is known of other users: a file system like that keeps its files.
  if (::flock(descriptor.get(), LOCK_EX | LOCK_NB) != 0) return false;
  struct stat named {};
  if (::lstat(path.c_str(), &named) != 0) return ErrnoStatus(path, "open", errno);
  if (named.st_dev != opened.st_dev || named.st_ino != opened.st_ino) return false;  // replaced
  if (::unlink(path.c_str()) != 0) return ErrnoStatus(path, "remove", errno);
  return true;
}

}  // namespace vlaserve
