// What the parts of the POSIX file system share. Private to model/io.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <unistd.h>

#include "model/io/status.h"

namespace vlaserve {

// "PATH: cannot ACTION: No such file or directory"; the code as file_system.h says.
Status ErrnoStatus(const std::string& path, std::string_view action, int error);

// Refuses NUL bytes: the C interfaces would silently use the part before.
Status CheckPosixPath(const std::string& path);

// Owns a file descriptor.
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
bool WriteAll(const Descriptor& descriptor, std::span<const std::byte> bytes);

}  // namespace vlaserve
