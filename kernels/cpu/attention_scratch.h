// Working memory of the attention kernels.
#pragma once

#include <cstdint>

namespace vlaserve::kernels {

// At least `bytes` of uninitialized memory, aligned to 64 bytes, of the calling thread alone; valid
// until the thread's next call or its end. The thread keeps it, so that equal calls allocate once.
// Throws std::bad_alloc.
void* AttentionScratch(int64_t bytes);

}  // namespace vlaserve::kernels
