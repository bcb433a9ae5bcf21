#include "kernels/attention.h"

#include <memory>
#include <new>

#include "kernels/cpu/attention_scratch.h"

namespace vlaserve::kernels {
namespace {

constexpr std::align_val_t kAlignment{64};

struct Free {
  void operator()(void* memory) const { operator delete(memory, kAlignment); }
};

}  // namespace

int64_t AttentionItems(const Attention& problem) {
  const int64_t rows = problem.heads / problem.kv_heads * problem.queries;
  const int64_t items = (rows + kAttentionItemRows - 1) / kAttentionItemRows;
  return problem.batch * problem.kv_heads * items;
}

void* AttentionScratch(int64_t bytes) {
  thread_local std::unique_ptr<void, Free> memory;
  thread_local int64_t size = 0;
  if (size < bytes) {
    size = 0;
    memory.reset(operator new(static_cast<size_t>(bytes), kAlignment));
    size = bytes;
  }
  return memory.get();
}

}  // namespace vlaserve::kernels
