#include "tests/kernels/attention_problem.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

namespace vlaserve {
namespace {

using kernels::ElementType;

uint16_t ToBFloat16(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  if (std::isnan(x)) return 0x7fc0;
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float FromBFloat16(uint16_t x) { return std::bit_cast<float>(uint32_t{x} << 16); }

void Store(float x, float& y) { y = x; }
void Store(float x, uint16_t& y) { y = ToBFloat16(x); }
float Load(float x) { return x; }
float Load(uint16_t x) { return FromBFloat16(x); }

std::vector<float> Numbers(uint32_t seed, int64_t count, ElementType type) {
  std::mt19937 bits(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) {
    value = normal(bits);
    if (type == ElementType::kBFloat16) value = FromBFloat16(ToBFloat16(value));
  }
  return values;
}

// Where an AttentionTensor of [batch, heads, rows, head_dim] keeps its elements.
struct Layout {
  int64_t batch_stride = 0;
  int64_t head_stride = 0;
  int64_t row_stride = 0;
  int64_t size = 0;  // up to the last element
};

Layout LayoutOf(const AttentionSpec& spec, int64_t heads, int64_t rows) {
  Layout layout;
  if (spec.interleaved) {
    layout.head_stride = spec.head_dim;
    layout.row_stride = heads * spec.head_dim + spec.row_gap;
    layout.batch_stride = rows * layout.row_stride;
  } else {
    layout.row_stride = spec.head_dim + spec.row_gap;
    layout.head_stride = rows * layout.row_stride;
    layout.batch_stride = heads * layout.head_stride;
  }
  layout.size = (spec.batch - 1) * layout.batch_stride + (heads - 1) * layout.head_stride +
                (rows - 1) * layout.row_stride + spec.head_dim;
  return layout;
}

// A copy of `values` in that layout, between guard pages. Gaps hold NaN.
template <typename T>
struct Placed {
  Placed(const AttentionSpec& spec, const std::vector<float>& values, int64_t heads, int64_t rows,
         Guard guard)
      : layout(LayoutOf(spec, heads, rows)), memory(layout.size, guard) {
    for (int64_t i = 0; i < layout.size; ++i) {
      Store(std::numeric_limits<float>::quiet_NaN(), memory[static_cast<size_t>(i)]);
    }
    size_t next = 0;
    for (int64_t b = 0; b < spec.batch; ++b) {
      for (int64_t h = 0; h < heads; ++h) {
        for (int64_t row = 0; row < rows; ++row) {
          const int64_t first =
              b * layout.batch_stride + h * layout.head_stride + row * layout.row_stride;
          for (int64_t d = 0; d < spec.head_dim; ++d) {
            Store(values[next++], memory[static_cast<size_t>(first + d)]);
          }
        }
      }
    }
  }
  kernels::AttentionTensor View() const {
    return {memory.data(), layout.batch_stride, layout.head_stride, layout.row_stride};
  }

  Layout layout;
  GuardedArray<T> memory;
};

}  // namespace

std::string Describe(const AttentionSpec& spec) {
  const auto number = [](int64_t value) { return std::to_string(value); };
  return number(spec.batch) + " x " + number(spec.heads) + "/" + number(spec.kv_heads) +
         " heads of " + number(spec.head_dim) + ", " + number(spec.queries) + " queries, " +
         number(spec.keys) + " keys, type " + number(static_cast<int64_t>(spec.type)) + ", bias " +
         number(static_cast<int64_t>(spec.bias)) + " of type " +
         number(static_cast<int64_t>(spec.bias_type)) + ", gap " + number(spec.row_gap) +
         (spec.interleaved ? ", interleaved" : "");
}

AttentionProblem::AttentionProblem(const AttentionSpec& chosen, uint32_t seed) : spec(chosen) {
  const int64_t kv = spec.batch * spec.kv_heads * spec.keys * spec.head_dim;
  q = Numbers(seed, spec.batch * spec.heads * spec.queries * spec.head_dim, spec.type);
  k = Numbers(seed + 1, kv, spec.type);
  v = Numbers(seed + 2, kv, spec.type);
  if (spec.bias == BiasShape::kNone) return;
  const int64_t last = BiasIndex(spec.batch - 1, spec.heads - 1, spec.queries - 1, spec.keys - 1);
  bias = Numbers(seed + 3, last + 1, spec.bias_type);
}

int64_t AttentionProblem::BiasIndex(int64_t batch, int64_t head, int64_t query, int64_t key) const {
  int64_t row = 0;
  if (spec.bias == BiasShape::kPerQuery) row = query;
  if (spec.bias == BiasShape::kPerBatch) row = batch * spec.queries + query;
  if (spec.bias == BiasShape::kPerHead) row = (batch * spec.heads + head) * spec.queries + query;
  return row * spec.keys + key;
}

float& AttentionProblem::BiasAt(int64_t batch, int64_t head, int64_t query, int64_t key) {
  return bias[static_cast<size_t>(BiasIndex(batch, head, query, key))];
}

std::vector<double> AttentionProblem::Reference() const {
  std::vector<double> out;
  std::vector<double> weights(static_cast<size_t>(spec.keys));
  const double scale = 1 / std::sqrt(static_cast<double>(spec.head_dim));
  const int64_t group = spec.heads / spec.kv_heads;
  for (int64_t b = 0; b < spec.batch; ++b) {
    for (int64_t query = 0; query < spec.queries; ++query) {
      for (int64_t h = 0; h < spec.heads; ++h) {
        const float* row =
            &q[static_cast<size_t>(((b * spec.heads + h) * spec.queries + query) * spec.head_dim)];
        const int64_t first_key = (b * spec.kv_heads + h / group) * spec.keys;
        const float* keys = &k[static_cast<size_t>(first_key * spec.head_dim)];
        const float* values = &v[static_cast<size_t>(first_key * spec.head_dim)];
        for (int64_t key = 0; key < spec.keys; ++key) {
          double logit = 0;
          for (int64_t d = 0; d < spec.head_dim; ++d) {
            logit += double{row[d]} * double{keys[key * spec.head_dim + d]};
          }
          logit *= scale;
          if (spec.bias != BiasShape::kNone) {
            // As float32, in which a mask of -2.38e38 swallows the logit.
            logit = static_cast<float>(
                logit + double{bias[static_cast<size_t>(BiasIndex(b, h, query, key))]});
          }
          weights[static_cast<size_t>(key)] = logit;
        }
        const double maximum = *std::max_element(weights.begin(), weights.end());
        for (double& weight : weights) weight = std::exp(weight - maximum);
        const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
        for (int64_t d = 0; d < spec.head_dim; ++d) {
          double total = 0;
          for (int64_t key = 0; key < spec.keys; ++key) {
            total += weights[static_cast<size_t>(key)] * double{values[key * spec.head_dim + d]};
          }
          out.push_back(total / sum);
        }
      }
    }
  }
  return out;
}

template <typename T>
std::vector<float> AttentionProblem::RunAs(const kernels::CpuKernels& cpu, Guard guard,
                                           int64_t piece) const {
  const Placed<T> queries(spec, q, spec.heads, spec.queries, guard);
  const Placed<T> keys(spec, k, spec.kv_heads, spec.keys, guard);
  const Placed<T> values(spec, v, spec.kv_heads, spec.keys, guard);
  GuardedArray<T> out(spec.batch * spec.queries * spec.heads * spec.head_dim, guard);
  const auto bias_size = static_cast<int64_t>(bias.size());
  GuardedArray<float> wide_bias(bias_size, guard);
  GuardedArray<uint16_t> narrow_bias(bias_size, guard);
  for (size_t i = 0; i < bias.size(); ++i) {
    wide_bias[i] = bias[i];
    narrow_bias[i] = ToBFloat16(bias[i]);
  }

  kernels::Attention problem;
  problem.type = spec.type;
  problem.batch = spec.batch;
  problem.heads = spec.heads;
  problem.kv_heads = spec.kv_heads;
  problem.queries = spec.queries;
  problem.keys = spec.keys;
  problem.head_dim = spec.head_dim;
  problem.scale = 1 / std::sqrt(static_cast<float>(spec.head_dim));
  problem.q = queries.View();
  problem.k = keys.View();
  problem.v = values.View();
  problem.out = out.data();
  if (spec.bias != BiasShape::kNone) {
    problem.bias_type = spec.bias_type;
    problem.bias = spec.bias_type == ElementType::kFloat32
                       ? static_cast<const void*>(wide_bias.data())
                       : static_cast<const void*>(narrow_bias.data());
    problem.bias_row_stride = BiasIndex(0, 0, 1, 0);
    problem.bias_head_stride = BiasIndex(0, 1, 0, 0);
    problem.bias_batch_stride = BiasIndex(1, 0, 0, 0);
  }
  const int64_t items = kernels::AttentionItems(problem);
  for (int64_t begin = (items - 1) / piece * piece; begin >= 0; begin -= piece) {
    cpu.attention(problem, begin, std::min(begin + piece, items));
  }
  std::vector<float> result;
  for (size_t i = 0; i < out.size(); ++i) result.push_back(Load(out[i]));
  return result;
}

std::vector<float> AttentionProblem::Run(const kernels::CpuKernels& cpu, Guard guard,
                                         int64_t piece) const {
  return spec.type == ElementType::kFloat32 ? RunAs<float>(cpu, guard, piece)
                                            : RunAs<uint16_t>(cpu, guard, piece);
}

}  // namespace vlaserve
