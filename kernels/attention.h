// Attention at π0's shapes, without a copy of keys and values per query head.
//
// For every batch b and query head h, with KV head h / (heads / kv_heads):
//   o = softmax(q kᵀ · scale + bias) v
// Logits, softmax and sums are float32, whatever the type of q, k, v; the output is rounded once. A
// row whose bias masks all keys equally (-2.38e38) gives the mean over them, as softmax does; one
// whose logits are all -inf gives 0, as LibTorch's operator does; NaN gives NaN. The relative error
// of exp(x) is below 2e-7 + 7e-8 |x|; below x = -87 it is 0. Keys are taken in ascending order, so
// results do not depend on the number of threads. They may differ between instruction sets.
//
// Thread-safety: pure; disjoint ranges of work items may run at the same time.
#pragma once

#include <cstdint>

#include "kernels/int_gemm.h"

namespace vlaserve::kernels {

// A tensor [batch, heads, rows, head_dim], elements of one head's row contiguous; strides in
// elements.
struct AttentionTensor {
  const void* data = nullptr;
  int64_t batch_stride = 0;
  int64_t head_stride = 0;
  int64_t row_stride = 0;
};

struct Attention {
  ElementType type = ElementType::kFloat32;  // of q, k, v and out
  int64_t batch = 0;
  int64_t heads = 0;     // of q
  int64_t kv_heads = 0;  // of k and v; divides heads
  int64_t queries = 0;
  int64_t keys = 0;  // at least 1
  int64_t head_dim = 0;
  float scale = 1;  // 1 / sqrt(head_dim)
  AttentionTensor q, k, v;
  // Added to the logits: [batch, heads, queries, keys]; null: none. Strides of 0 repeat it.
  const void* bias = nullptr;
  ElementType bias_type = ElementType::kFloat32;
  int64_t bias_batch_stride = 0;
  int64_t bias_head_stride = 0;
  int64_t bias_row_stride = 0;
  // [batch, queries, heads, head_dim]: as the projection that follows reads it. Element d of head h
  // of query m of batch b at ((b * queries + m) * heads + h) * head_dim + d.
  void* out = nullptr;
};

// Rows (a query of one head) of a work item. The query heads that share a KV head are rows beside
// each other; neighbouring items that one call gets share the work on keys and values.
inline constexpr int64_t kAttentionItemRows = 6;

// Independent pieces of work; pieces are of about equal size. Give each thread one run of
// neighbours.
int64_t AttentionItems(const Attention& problem);

}  // namespace vlaserve::kernels
