// Attention over one range of work items: blocks of rows × blocks of keys.
//
// The rows of a block stay in L2 as float32: queries times scale, logits, output so far. Keys and
// values are widened to float32 panels of V::kPanel columns once per row block; a panel stays in L1
// while all rows of the block pass.
//
// V: the vector operations of one instruction set (attention_vector_*.h). Element: float, or
// uint16_t for bfloat16.
#pragma once

#include <cstdint>

#include "kernels/attention.h"
#include "kernels/cpu/attention_scratch.h"
#include "kernels/cpu/attention_softmax.h"
#include "kernels/cpu/attention_tile.h"
#include "kernels/cpu/attention_values.h"

namespace vlaserve::kernels {

template <typename V, typename Element>
class AttentionRun {
 public:
  explicit AttentionRun(const Attention& problem)
      : problem_(problem),
        group_(problem.heads / problem.kv_heads),
        row_floats_(RoundUp(problem.head_dim, V::kPanel)),
        key_block_(EvenBlock(problem.keys, V::kKeyBlock, V::kPanel)),
        max_rows_(Max(V::kRows, kBlockFloats / (2 * row_floats_ + key_block_))) {}

  void Run(int64_t begin, int64_t end) {
    const int64_t pair_rows = group_ * problem_.queries;
    const int64_t pair_items = (pair_rows + kAttentionItemRows - 1) / kAttentionItemRows;
    for (int64_t item = begin; item < end;) {
      const int64_t pair = item / pair_items;
      const int64_t pair_end = Min(end, (pair + 1) * pair_items);
      const int64_t first = (item - pair * pair_items) * kAttentionItemRows;
      const int64_t last = Min((pair_end - pair * pair_items) * kAttentionItemRows, pair_rows);
      RunPair(pair / problem_.kv_heads, pair % problem_.kv_heads, first, last);
      item = pair_end;
    }
  }

 private:
  // Of the rows of a block: 192 rows with a head_dim of 256 and 128 keys.
  static constexpr int64_t kBlockFloats = int64_t{192} * (2 * 256 + 128);
  static constexpr int64_t kValueColumns = V::kPanel * V::kValuePanels;

  static int64_t Min(int64_t a, int64_t b) { return a < b ? a : b; }
  static int64_t Max(int64_t a, int64_t b) { return a > b ? a : b; }
  static int64_t RoundUp(int64_t n, int64_t step) { return (n + step - 1) / step * step; }
  // n in equal blocks of at most `most`, but whole steps.
  static int64_t EvenBlock(int64_t n, int64_t most, int64_t step) {
    const int64_t blocks = (n + most - 1) / most;
    return RoundUp((n + blocks - 1) / blocks, step);
  }
  static const Element* Row(const AttentionTensor& tensor, int64_t batch, int64_t head,
                            int64_t row) {
    return static_cast<const Element*>(tensor.data) + batch * tensor.batch_stride +
           head * tensor.head_stride + row * tensor.row_stride;
  }

  // Rows [first, last) of one batch and KV head: row r is query r / group of the group's head
  // r % group.
  void RunPair(int64_t batch, int64_t kv_head, int64_t first, int64_t last) {
    batch_ = batch;
    kv_head_ = kv_head;
    const int64_t block = EvenBlock(last - first, max_rows_, V::kRows);
    Allocate(block);
    for (int64_t row = first; row < last; row += block) RunBlock(row, Min(block, last - row));
  }

  void Allocate(int64_t rows) {
    const int64_t key_panel = V::kPanel * row_floats_;
    const int64_t value_panels = kValueColumns * key_block_;
    const int64_t floats = rows * (2 * row_floats_ + key_block_) + key_panel + value_panels +
                           row_floats_ + RoundUp(rows, 16);
    const int64_t states = rows * static_cast<int64_t>(sizeof(AttentionRowState));
    float* next = static_cast<float*>(AttentionScratch(floats * 4 + states));
    const auto take = [&next](int64_t count) {
      float* taken = next;
      next += count;
      return taken;
    };
    queries_ = take(rows * row_floats_);
    output_ = take(rows * row_floats_);
    logits_ = take(rows * key_block_);
    key_panel_ = take(key_panel);
    value_panels_ = take(value_panels);
    float* zeros = take(row_floats_);
    for (int64_t i = 0; i < row_floats_; ++i) zeros[i] = 0;
    zero_row_ = reinterpret_cast<const Element*>(zeros);
    factors_ = take(RoundUp(rows, 16));
    states_ = reinterpret_cast<AttentionRowState*>(next);
  }

  void RunBlock(int64_t first_row, int64_t rows) {
    LoadQueries(first_row, rows);
    for (int64_t row = 0; row < rows; ++row) states_[row] = {-__builtin_inff(), 0.0F};
    for (int64_t key = 0; key < problem_.keys; key += key_block_) {
      const int64_t keys = Min(key_block_, problem_.keys - key);
      MultiplyKeys(rows, key, keys);
      if (problem_.bias_type == ElementType::kBFloat16) {
        Softmax<uint16_t>(first_row, rows, key, keys);
      } else {
        Softmax<float>(first_row, rows, key, keys);
      }
      MultiplyValues(rows, key, keys);
    }
    StoreOutput(first_row, rows);
  }

  int64_t Query(int64_t row) const { return row / group_; }
  int64_t Head(int64_t row) const { return kv_head_ * group_ + row % group_; }

  void LoadQueries(int64_t first_row, int64_t rows) {
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t row = first_row + i;
      V::LoadScaled(Row(problem_.q, batch_, Head(row), Query(row)), problem_.head_dim,
                    problem_.scale, queries_ + i * row_floats_);
    }
  }

  // logits = queries · keys, [rows, keys].
  void MultiplyKeys(int64_t rows, int64_t first_key, int64_t keys) {
    for (int64_t key = 0; key < keys; key += V::kPanel) {
      const int64_t columns = Min(V::kPanel, keys - key);
      const Element* sources[V::kPanel];
      for (int64_t i = 0; i < V::kPanel; ++i) {
        sources[i] =
            i < columns ? Row(problem_.k, batch_, kv_head_, first_key + key + i) : zero_row_;
      }
      V::PackKeys(sources, problem_.head_dim, key_panel_);
      AttentionPanel<V>(rows, columns,
                        {queries_, row_floats_, key_panel_, problem_.head_dim, logits_ + key,
                         key_block_, nullptr});
    }
  }

  template <typename Bias>
  void Softmax(int64_t first_row, int64_t rows, int64_t first_key, int64_t keys) {
    for (int64_t i = 0; i < rows; ++i) {
      const Bias* bias = nullptr;
      if (problem_.bias != nullptr) {
        const int64_t row = first_row + i;
        bias = static_cast<const Bias*>(problem_.bias) + batch_ * problem_.bias_batch_stride +
               Head(row) * problem_.bias_head_stride + Query(row) * problem_.bias_row_stride +
               first_key;
      }
      factors_[i] = AttentionSoftmax<V>(logits_ + i * key_block_, keys, bias, states_[i]);
    }
  }

  // output = factors · output + exp(logits) · values, [rows, head_dim].
  void MultiplyValues(int64_t rows, int64_t first_key, int64_t keys) {
    const int64_t panel_floats = V::kPanel * key_block_;
    for (int64_t column = 0; column < problem_.head_dim; column += kValueColumns) {
      const int64_t columns = Min(kValueColumns, problem_.head_dim - column);
      PackAttentionValues<V>(Row(problem_.v, batch_, kv_head_, first_key) + column,
                             problem_.v.row_stride, keys, columns, value_panels_, panel_floats);
      for (int64_t panel = 0; panel < columns; panel += V::kPanel) {
        AttentionPanel<V>(
            rows, Min(V::kPanel, columns - panel),
            {logits_, key_block_, value_panels_ + panel / V::kPanel * panel_floats, keys,
             output_ + column + panel, row_floats_, first_key == 0 ? nullptr : factors_});
      }
    }
  }

  void StoreOutput(int64_t first_row, int64_t rows) {
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t row = first_row + i;
      const int64_t index = (batch_ * problem_.queries + Query(row)) * problem_.heads + Head(row);
      // Without a key that counts, the output is 0 already.
      const float sum = states_[i].sum == 0 ? 1.0F : states_[i].sum;
      V::StoreScaled(output_ + i * row_floats_, problem_.head_dim, 1.0F / sum,
                     static_cast<Element*>(problem_.out) + index * problem_.head_dim);
    }
  }

  const Attention& problem_;
  const int64_t group_;       // query heads per KV head
  const int64_t row_floats_;  // head_dim in whole panels
  const int64_t key_block_;
  const int64_t max_rows_;

  int64_t batch_ = 0;  // at work
  int64_t kv_head_ = 0;

  float* queries_ = nullptr;           // [rows, row_floats_]
  float* output_ = nullptr;            // [rows, row_floats_]
  float* logits_ = nullptr;            // [rows, key_block_]
  float* key_panel_ = nullptr;         // [head_dim, V::kPanel]
  float* value_panels_ = nullptr;      // V::kValuePanels × [key_block_, V::kPanel]
  const Element* zero_row_ = nullptr;  // stands for keys behind the last one
  float* factors_ = nullptr;           // [rows]
  AttentionRowState* states_ = nullptr;
};

template <typename V>
void RunAttentionWith(const Attention& problem, int64_t begin, int64_t end) {
  if (problem.type == ElementType::kBFloat16) {
    AttentionRun<V, uint16_t>(problem).Run(begin, end);
  } else {
    AttentionRun<V, float>(problem).Run(begin, end);
  }
}

}  // namespace vlaserve::kernels
