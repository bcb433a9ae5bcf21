#include "quant/transform/greedy.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/transform.h"
#include "model/transforms/noise.h"

namespace vlaserve {
namespace {

constexpr uint64_t kSteps = 256;
constexpr size_t kMaxRows = 2048;

// The rows of all blocks that have the largest norms, row-major [n, block].
std::vector<float> LargestRows(std::span<const float> samples, size_t block) {
  const size_t count = samples.size() / block;
  std::vector<double> norms(count);
  for (size_t r = 0; r < count; ++r) {
    for (const float value : samples.subspan(r * block, block)) {
      norms[r] += static_cast<double>(value) * static_cast<double>(value);
    }
  }
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return norms[a] > norms[b]; });
  order.resize(std::min(count, kMaxRows));
  std::vector<float> rows;
  rows.reserve(order.size() * block);
  for (const size_t r : order) {
    const auto row = samples.subspan(r * block, block);
    rows.insert(rows.end(), row.begin(), row.end());
  }
  return rows;
}

struct Peak {
  float value = 0;
  size_t column = 0;
};

Peak LargestOf(std::span<const float> rows, size_t block) {
  Peak peak;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (std::abs(rows[i]) > peak.value) peak = {std::abs(rows[i]), i % block};
  }
  return peak;
}

class Rotation {
 public:
  explicit Rotation(size_t size) : size_(size), values_(size * size) {
    for (size_t i = 0; i < size; ++i) values_[i * size + i] = 1;
  }

  void SwapColumns(size_t a, size_t b) {
    for (size_t row = 0; row < size_; ++row) {
      std::swap(values_[row * size_ + a], values_[row * size_ + b]);
    }
  }

  // R ← R · (I - 2 v vᵀ / vᵀv), v = 0 in front of the given last entries.
  void Reflect(std::span<const double> v) {
    const double square = std::inner_product(v.begin(), v.end(), v.begin(), 0.0);
    if (square == 0) return;
    const size_t first = size_ - v.size();
    for (size_t row = 0; row < size_; ++row) {
      double* const entries = values_.data() + row * size_ + first;
      double product = 0;
      for (size_t i = 0; i < v.size(); ++i) product += entries[i] * v[i];
      const double factor = 2 * product / square;
      for (size_t i = 0; i < v.size(); ++i) entries[i] -= factor * v[i];
    }
  }

  std::vector<float> Rounded() const { return {values_.begin(), values_.end()}; }

 private:
  size_t size_;
  std::vector<double> values_;
};

// A random orthogonal matrix on all columns but the first, as a product of reflections that
// triangularise a Gaussian matrix (Stewart: "The efficient generation of random orthogonal
// matrices", SIAM J. Numer. Anal. 17, 1980).
void RotateOthersAtRandom(uint64_t seed, size_t block, Rotation& rotation) {
  const std::vector<float> noise =
      GaussianNoise(seed, static_cast<int64_t>(block * (block - 1) / 2));
  size_t next = 0;
  for (size_t length = block - 1; length > 1; --length) {
    std::vector<double> v(noise.begin() + static_cast<std::ptrdiff_t>(next),
                          noise.begin() + static_cast<std::ptrdiff_t>(next + length));
    next += length;
    const double norm = std::sqrt(std::inner_product(v.begin(), v.end(), v.begin(), 0.0));
    v[0] += v[0] < 0 ? -norm : norm;
    rotation.Reflect(v);
  }
}

// Maps the first unit vector to 1/√block everywhere.
void SpreadFirstColumn(size_t block, Rotation& rotation) {
  std::vector<double> v(block, -1 / std::sqrt(static_cast<double>(block)));
  v[0] += 1;
  rotation.Reflect(v);
}

}  // namespace

std::vector<float> GreedyRotation(std::span<const float> samples, int64_t block) {
  const auto size = static_cast<size_t>(block);
  const std::vector<float> rows = LargestRows(samples, size);
  const auto count = static_cast<int64_t>(rows.size() / size);
  Rotation rotation(size);
  std::vector<float> best = rotation.Rounded();
  Peak peak = LargestOf(rows, size);
  float smallest = peak.value;
  std::vector<float> rotated(rows.size());
  for (uint64_t step = 0; step < kSteps && size > 1; ++step) {
    rotation.SwapColumns(0, peak.column);
    RotateOthersAtRandom(step, size, rotation);
    SpreadFirstColumn(size, rotation);
    const std::vector<float> candidate = rotation.Rounded();
    RotateRows(rows.data(), rotated.data(), count, block, block, candidate, /*shared=*/true);
    peak = LargestOf(rotated, size);
    if (peak.value < smallest) {
      smallest = peak.value;
      best = candidate;
    }
  }
  return best;
}

}  // namespace vlaserve
