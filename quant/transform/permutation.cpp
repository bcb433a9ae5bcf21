#include "quant/transform/permutation.h"

#include <algorithm>
#include <numeric>

namespace vlaserve {
namespace {

template <typename T>
std::vector<int32_t> DescendingOrder(std::span<const T> values) {
  std::vector<int32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return values[static_cast<size_t>(a)] > values[static_cast<size_t>(b)];
  });
  return order;
}

}  // namespace

std::vector<int32_t> WeightZigzag(std::span<const float> weight, int64_t rows, int64_t columns) {
  std::vector<double> energies(static_cast<size_t>(columns));
  for (int64_t r = 0; r < rows; ++r) {
    const auto row = weight.subspan(static_cast<size_t>(r * columns), static_cast<size_t>(columns));
    for (size_t c = 0; c < row.size(); ++c) {
      energies[c] += static_cast<double>(row[c]) * static_cast<double>(row[c]);
    }
  }
  const std::vector<int32_t> order = DescendingOrder<double>(energies);
  std::vector<int32_t> permutation;
  permutation.reserve(order.size());
  for (size_t first = 0, last = order.size(); first < last;) {
    permutation.push_back(order[first++]);
    if (first < last) permutation.push_back(order[--last]);
  }
  return permutation;
}

std::vector<int32_t> ActivationSnake(std::span<const float> magnitudes, int64_t block) {
  const size_t columns = magnitudes.size();
  const auto capacity = static_cast<size_t>(block);
  std::vector<std::vector<int32_t>> blocks((columns + capacity - 1) / capacity);
  const auto room = [&](size_t b) {
    return std::min(capacity, columns - b * capacity) - blocks[b].size();
  };
  bool forward = true;
  size_t dealt = 0;  // in this round
  for (const int32_t column : DescendingOrder<float>(magnitudes)) {
    size_t b = 0;
    do {
      if (dealt == blocks.size()) {
        forward = !forward;
        dealt = 0;
      }
      b = forward ? dealt : blocks.size() - 1 - dealt;
      ++dealt;
    } while (room(b) == 0);
    blocks[b].push_back(column);
  }
  std::vector<int32_t> permutation;
  permutation.reserve(columns);
  for (const auto& columns_of_block : blocks) {
    permutation.insert(permutation.end(), columns_of_block.begin(), columns_of_block.end());
  }
  return permutation;
}

}  // namespace vlaserve
