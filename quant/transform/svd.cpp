#include "quant/transform/svd.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <exception>
#include <string>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linalg_eigh.h>

#include "model/archive/torch_errors.h"

namespace vlaserve {
namespace {

// Rows or columns of the weight that are widened to double at a time: small enough for the cache.
constexpr int64_t kTile = 256;

Status CheckSizes(std::span<const float> weight, int64_t n, int64_t k, int64_t block) {
  if (n < 1 || k < 1 || block < 1 || std::ssize(weight) != n * k) {
    return Status(StatusCode::kInvalidArgument,
                  "block rotations: a weight of " + std::to_string(weight.size()) +
                      " values in blocks of " + std::to_string(block) + " is no [" +
                      std::to_string(n) + ", " + std::to_string(k) + "]");
  }
  for (size_t i = 0; i < weight.size(); ++i) {
    if (!std::isfinite(weight[i])) {
      return Status(StatusCode::kInvalidArgument,
                    "block rotations: the weight is " + std::to_string(weight[i]) + " at row " +
                        std::to_string(i / static_cast<size_t>(k)) + ", column " +
                        std::to_string(i % static_cast<size_t>(k)));
    }
  }
  return Status::Ok();
}

// gram[i, j] += Σ_c x[c, i] · x[c, j] for j ≥ i, with x row-major [count, size].
void AddGram(const double* x, int64_t count, int64_t size, double* gram) {
  for (int64_t c = 0; c < count; ++c) {
    const double* row = x + c * size;
    for (int64_t i = 0; i < size; ++i) {
      const double factor = row[i];
      double* out = gram + i * size;
      for (int64_t j = i; j < size; ++j) out[j] += factor * row[j];
    }
  }
}

// The eigenvectors of one size's Gram matrices (upper triangles), as rotations in float32.
Status AppendRotations(std::vector<double>& grams, int64_t size, std::vector<float>& rotations) {
  const int64_t count = std::ssize(grams) / (size * size);
  if (count == 0) return Status::Ok();
  at::Tensor vectors;  // [count, size, size], ascending, one eigenvector per column
  try {
    const at::Tensor matrices = at::from_blob(grams.data(), {count, size, size}, at::kDouble);
    vectors = std::get<1>(at::linalg_eigh(matrices, "U")).contiguous();
  } catch (const std::exception& error) {
    return TorchFailure(StatusCode::kInternal, "block rotations: eigenvalue decomposition", error);
  }
  const double* data = vectors.const_data_ptr<double>();
  const size_t begin = rotations.size();
  rotations.resize(begin + grams.size());
  for (int64_t b = 0; b < count; ++b) {
    const double* from = data + b * size * size;
    float* to = rotations.data() + begin + b * size * size;
    for (int64_t column = 0; column < size; ++column) {
      const int64_t ascending = size - 1 - column;
      double largest = 0;
      for (int64_t row = 0; row < size; ++row) {
        const double value = from[row * size + ascending];
        if (std::abs(value) > std::abs(largest)) largest = value;
      }
      const double sign = largest < 0 ? -1 : 1;
      for (int64_t row = 0; row < size; ++row) {
        to[row * size + column] = static_cast<float>(sign * from[row * size + ascending]);
      }
    }
  }
  return Status::Ok();
}

// From the Gram matrices of `full` blocks of `block`, and one of `rest` (0: none).
Result<std::vector<float>> RotationsOf(std::vector<double>& full, int64_t block,
                                       std::vector<double>& last, int64_t rest) {
  std::vector<float> rotations;
  rotations.reserve(full.size() + last.size());
  VLASERVE_RETURN_IF_ERROR(AppendRotations(full, block, rotations));
  if (rest > 0) VLASERVE_RETURN_IF_ERROR(AppendRotations(last, rest, rotations));
  return rotations;
}

}  // namespace

Result<std::vector<float>> WeightSvdRotations(std::span<const float> weight, int64_t n, int64_t k,
                                              std::span<const int32_t> permutation, int64_t block) {
  VLASERVE_RETURN_IF_ERROR(CheckSizes(weight, n, k, block));
  if (!permutation.empty() &&
      (std::ssize(permutation) != k || std::ranges::any_of(permutation, [k](int32_t column) {
         return column < 0 || column >= k;
       }))) {
    return Status(StatusCode::kInvalidArgument,
                  "block rotations: the permutation is none of " + std::to_string(k) + " columns");
  }
  const int64_t blocks = k / block;
  const int64_t rest = k % block;
  std::vector<double> full(static_cast<size_t>(blocks * block * block));
  std::vector<double> last(static_cast<size_t>(rest * rest));
  std::vector<double> tile(static_cast<size_t>(kTile * std::min(block, k)));
  for (int64_t first = 0; first < n; first += kTile) {
    const int64_t rows = std::min(kTile, n - first);
    for (int64_t start = 0; start < k; start += block) {
      const int64_t size = std::min(block, k - start);
      for (int64_t r = 0; r < rows; ++r) {
        const float* row = weight.data() + (first + r) * k;
        double* out = tile.data() + r * size;
        for (int64_t c = 0; c < size; ++c) {
          out[c] =
              row[permutation.empty() ? start + c : permutation[static_cast<size_t>(start + c)]];
        }
      }
      double* gram = size == block ? full.data() + start / block * block * block : last.data();
      AddGram(tile.data(), rows, size, gram);
    }
  }
  return RotationsOf(full, block, last, rest);
}

Result<std::vector<float>> RowSvdRotations(std::span<const float> weight, int64_t n, int64_t k,
                                           int64_t block) {
  VLASERVE_RETURN_IF_ERROR(CheckSizes(weight, n, k, block));
  const int64_t blocks = n / block;
  const int64_t rest = n % block;
  std::vector<double> full(static_cast<size_t>(blocks * block * block));
  std::vector<double> last(static_cast<size_t>(rest * rest));
  std::vector<double> tile(static_cast<size_t>(kTile * std::min(block, n)));
  for (int64_t start = 0; start < n; start += block) {
    const int64_t size = std::min(block, n - start);
    double* gram = size == block ? full.data() + start / block * block * block : last.data();
    for (int64_t first = 0; first < k; first += kTile) {
      const int64_t columns = std::min(kTile, k - first);
      for (int64_t r = 0; r < size; ++r) {
        const float* row = weight.data() + (start + r) * k + first;
        for (int64_t c = 0; c < columns; ++c) tile[static_cast<size_t>(c * size + r)] = row[c];
      }
      AddGram(tile.data(), columns, size, gram);
    }
  }
  return RotationsOf(full, block, last, rest);
}

Result<std::vector<float>> TimesHadamard(std::span<const float> rotations, int64_t columns,
                                         int64_t block) {
  std::vector<float> result;
  result.reserve(rotations.size());
  for (int64_t start = 0; start < columns; start += block) {
    const int64_t size = std::min(block, columns - start);
    if (!std::has_single_bit(static_cast<uint64_t>(size))) {
      return Status(StatusCode::kInvalidArgument,
                    "block rotations: a Hadamard matrix of " + std::to_string(size) +
                        " columns does not exist (powers of two only)");
    }
    const double scale = 1 / std::sqrt(static_cast<double>(size));
    const float* block_rotation = rotations.data() + result.size();
    std::vector<double> row(static_cast<size_t>(size));
    for (int64_t r = 0; r < size; ++r) {
      std::copy_n(block_rotation + r * size, size, row.begin());
      for (int64_t h = 1; h < size; h *= 2) {
        for (int64_t j = 0; j < size; ++j) {
          if ((j & h) != 0) continue;
          const double a = row[static_cast<size_t>(j)];
          const double b = row[static_cast<size_t>(j + h)];
          row[static_cast<size_t>(j)] = a + b;
          row[static_cast<size_t>(j + h)] = a - b;
        }
      }
      for (const double value : row) result.push_back(static_cast<float>(value * scale));
    }
  }
  return result;
}

}  // namespace vlaserve
