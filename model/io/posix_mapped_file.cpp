#include "model/io/posix_mapped_file.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <sys/mman.h>

namespace vlaserve {
namespace {

class PosixMappedFile : public MappedFile {
 public:
  PosixMappedFile(std::byte* data, size_t size, Descriptor descriptor)
      : data_(data), size_(size), descriptor_(std::move(descriptor)) {}
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
  Descriptor descriptor_;  // may be invalid: the mapping needs none
};

Result<std::shared_ptr<const MappedFile>> Map(int fd, size_t size, const std::string& path,
                                              Descriptor kept) {
  void* data = nullptr;
  if (size > 0) {
    data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) return ErrnoStatus(path, "map", errno);
  }
  return {std::make_shared<const PosixMappedFile>(static_cast<std::byte*>(data), size,
                                                  std::move(kept))};
}

}  // namespace

Result<std::shared_ptr<const MappedFile>> MapDescriptor(const Descriptor& descriptor, size_t size,
                                                        const std::string& path) {
  return Map(descriptor.get(), size, path, Descriptor(-1));
}

Result<std::shared_ptr<const MappedFile>> MapAndKeep(Descriptor descriptor, size_t size,
                                                     const std::string& path) {
  const int fd = descriptor.get();
  return Map(fd, size, path, std::move(descriptor));
}

}  // namespace vlaserve
