// Memory between two pages that nobody may touch: an access before or behind it ends the program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

#include <sys/mman.h>
#include <unistd.h>

namespace vlaserve {

// Which end of an array touches its guard page.
enum class Guard { kBefore, kBehind };

// `size` elements filled with bytes 0xA5. With kBehind the last element ends where the guard page
// begins, unless `alignment` (bytes) forbids it.
template <typename T>
class GuardedArray {
 public:
  GuardedArray(int64_t size, Guard guard, size_t alignment = alignof(T))
      : size_(static_cast<size_t>(size)) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t bytes = (size_ * sizeof(T) + alignment - 1) / alignment * alignment;
    const size_t inner = (bytes + page - 1) / page * page;
    void* const memory =
        mmap(nullptr, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = {memory, Unmap{inner + 2 * page}};
    char* const begin = static_cast<char*>(memory) + page;
    if (inner > 0 && mprotect(begin, inner, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    std::memset(begin, 0xA5, inner);
    data_ = reinterpret_cast<T*>(guard == Guard::kBefore ? begin : begin + inner - bytes);
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_[i]; }

 private:
  struct Unmap {
    size_t bytes = 0;
    void operator()(void* memory) const { munmap(memory, bytes); }
  };
  std::unique_ptr<void, Unmap> memory_;
  T* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace vlaserve
