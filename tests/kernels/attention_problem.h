// An attention problem with random inputs, its result in float64, and runs of it between guard
// pages.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/attention.h"
#include "kernels/cpu/kernel_table.h"
#include "tests/kernels/guarded_memory.h"

namespace vlaserve {

enum class BiasShape { kNone, kOneRow, kPerQuery, kPerBatch, kPerHead };

struct AttentionSpec {
  int64_t batch = 1;
  int64_t heads = 1;
  int64_t kv_heads = 1;
  int64_t queries = 1;
  int64_t keys = 1;
  int64_t head_dim = 1;
  kernels::ElementType type = kernels::ElementType::kFloat32;
  BiasShape bias = BiasShape::kNone;
  kernels::ElementType bias_type = kernels::ElementType::kFloat32;
  int64_t row_gap = 0;       // elements between rows
  bool interleaved = false;  // [batch, rows, heads, head_dim] in memory, as projections give it
};

std::string Describe(const AttentionSpec& spec);

// Inputs as float32 numbers that the type holds exactly, in plain [.., rows, head_dim] order.
struct AttentionProblem {
  explicit AttentionProblem(const AttentionSpec& spec, uint32_t seed = 1);

  // [batch, queries, heads, head_dim], in float64.
  std::vector<double> Reference() const;

  // Runs the items of [0, AttentionItems) in pieces of `piece`, the last piece first, with every
  // array between guard pages. Bits of the output's elements, widened to float32.
  std::vector<float> Run(const kernels::CpuKernels& cpu, Guard guard, int64_t piece) const;

  float& BiasAt(int64_t batch, int64_t head, int64_t query, int64_t key);

  AttentionSpec spec;
  std::vector<float> q, k, v;
  std::vector<float> bias;  // in the shape of spec.bias

 private:
  int64_t BiasIndex(int64_t batch, int64_t head, int64_t query, int64_t key) const;
  template <typename T>
  std::vector<float> RunAs(const kernels::CpuKernels& cpu, Guard guard, int64_t piece) const;
};

}  // namespace vlaserve
