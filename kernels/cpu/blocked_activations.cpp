#include "kernels/blocked_activations.h"

#include <cstdlib>
#include <new>

#include "kernels/panels.h"
#include "kernels/quantize.h"

namespace vlaserve::kernels {
namespace {

constexpr int64_t kAlignment = 64;

int64_t Aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

void BlockedBuffer::Free::operator()(void* memory) const { std::free(memory); }

BlockedBuffer::BlockedBuffer(int64_t rows, int64_t columns, int64_t group, int64_t step,
                             int64_t max_rows) {
  const int64_t codes = Aligned(rows * PaddedDepth(columns));
  const int64_t scales =
      Aligned(rows * GroupCount(columns, group) * static_cast<int64_t>(sizeof(float)));
  const int64_t sums =
      Aligned(rows * GroupCount(columns, step) * static_cast<int64_t>(sizeof(int32_t)));
  view_ = {rows, columns, group, step, max_rows, nullptr, nullptr, nullptr};
  const auto bytes = static_cast<size_t>(codes + scales + sums);
  if (bytes == 0) return;
  memory_.reset(std::aligned_alloc(kAlignment, bytes));
  if (memory_ == nullptr) throw std::bad_alloc();
  auto* const begin = static_cast<char*>(memory_.get());
  view_.codes = reinterpret_cast<int8_t*>(begin);
  view_.scales = reinterpret_cast<float*>(begin + codes);
  view_.sums = reinterpret_cast<int32_t*>(begin + codes + scales);
}

void UnblockCodes(const BlockedActivations& x, int8_t* codes) {
  const RowBlocks blocks = x.blocks();
  for (int64_t b = 0; b < blocks.count(); ++b) {
    const int8_t* const block = x.codes + blocks.begin(b) * PaddedDepth(x.columns);
    for (int64_t r = 0; r < blocks.size(b); ++r) {
      int8_t* const row = codes + (blocks.begin(b) + r) * x.columns;
      for (int64_t k = 0; k < x.columns; ++k) {
        row[k] = block[(k / 4 * blocks.size(b) + r) * 4 + k % 4];
      }
    }
  }
}

}  // namespace vlaserve::kernels
