#include "model/io/posix_descriptor.h"

#include <cerrno>
#include <system_error>

namespace vlaserve {

Status ErrnoStatus(const std::string& path, std::string_view action, int error) {
  StatusCode code = StatusCode::kIo;
  if (error == ENOENT || error == ENOTDIR) code = StatusCode::kNotFound;
  if (error == EISDIR) code = StatusCode::kUnreadable;
  return {code,
          path + ": cannot " + std::string(action) + ": " + std::generic_category().message(error)};
}

Status CheckPosixPath(const std::string& path) {
  if (path.find('\0') == std::string::npos) return Status::Ok();
  return {StatusCode::kNotFound, path.substr(0, path.find('\0')) + ": path contains a NUL byte"};
}

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

}  // namespace vlaserve
