#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "kernels/cpu/portable/round.h"
#include "kernels/cpu/portable/scale_search.h"
#include "kernels/cpu/portable/weight_group.h"
#include "kernels/quantize.h"

namespace vlaserve {
namespace {

using kernels::kLanes;
using kernels::ScaleCandidates;
using kernels::WeightRange;

constexpr float kScaleOverflow = 65520.0f;  // rounds to Inf in fp16

constexpr std::array<float, kernels::kMaxCandidates> kClipRatios = [] {
  std::array<float, kernels::kMaxCandidates> ratios{};
  for (size_t k = 0; k < ratios.size(); ++k) {
    ratios[k] = static_cast<float>(1.0 - 0.02 * static_cast<double>(k));
  }
  return ratios;
}();

struct Format {
  bool symmetric = true;
  float levels = 0;  // the scale is range / levels
  float lowest = 0;  // symmetric: smallest code
};

// A candidate's scale: the range times `factor`, / levels, / `divisor`.
struct Trial {
  float factor = 1;
  float divisor = 1;
};

std::vector<Trial> TrialsOf(WeightSearch search) {
  std::vector<Trial> trials;
  switch (search) {
    case WeightSearch::kRtn:
      trials.push_back({});
      break;
    case WeightSearch::kGrid5:
      for (const float divisor : {0.5f, 0.75f, 1.0f, 1.25f, 1.5f}) trials.push_back({1, divisor});
      break;
    case WeightSearch::kClipSearch:
      for (const float ratio : ClipRatios()) trials.push_back({ratio, 1});
      break;
  }
  return trials;
}

// Symmetric: [0, max|w|].
WeightRange RangeOf(const Format& format, const float* weight, int64_t count) {
  if (!format.symmetric) return kernels::MinMax(weight, count);
  return {0, kernels::AbsMax(weight, count)};
}

std::optional<WeightError> CheckRow(const Format& format, const float* row, int64_t row_index,
                                    int64_t columns, int64_t width) {
  for (int64_t begin = 0; begin < columns; begin += width) {
    const int64_t count = std::min(width, columns - begin);
    if (!std::isfinite(kernels::AbsMax(row + begin, count))) {
      const float* const bad = std::find_if_not(row + begin, row + columns,
                                                [](float value) { return std::isfinite(value); });
      return WeightError{row_index, bad - row, WeightError::Kind::kNotFinite};
    }
    const WeightRange range = RangeOf(format, row + begin, count);
    if ((range.max - range.min) / format.levels >= kScaleOverflow) {
      return WeightError{row_index, begin, WeightError::Kind::kScaleTooLarge};
    }
  }
  return std::nullopt;
}

void FillCandidates(const Format& format, std::span<const Trial> trials,
                    const std::array<WeightRange, kLanes>& ranges, ScaleCandidates& candidates) {
  candidates.count = static_cast<int>(trials.size());
  for (size_t k = 0; k < trials.size(); ++k) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float min = ranges[lane].min * trials[k].factor;
      const float max = ranges[lane].max * trials[k].factor;
      const float scale = kernels::RoundToFp16((max - min) / format.levels / trials[k].divisor);
      candidates.scale[k][lane] = scale;
      if (format.symmetric) {
        candidates.low[k][lane] = format.lowest;
        candidates.high[k][lane] = format.levels;
      } else {
        const float zero =
            scale == 0 ? 0 : kernels::RoundHalfToEven(std::min(-min / scale, format.levels));
        candidates.low[k][lane] = -zero;
        candidates.high[k][lane] = format.levels - zero;
      }
    }
  }
}

struct Output {
  uint8_t* codes = nullptr;
  uint16_t* scales = nullptr;
  uint8_t* zeros = nullptr;  // asymmetric
  std::span<int8_t> choice;
};

std::optional<WeightError> Quantize(const Format& format, const float* weight, int64_t rows,
                                    int64_t columns, int64_t group, WeightSearch search,
                                    const Output& output) {
  const std::vector<Trial> trials = TrialsOf(search);
  const int64_t groups = GroupCount(columns, group);
  const int64_t width = groups == 1 ? columns : group;
  struct alignas(32) Lanes {
    std::array<float, kLanes> values;
  };
  std::vector<Lanes> tile(static_cast<size_t>(trials.size() > 1 ? width : 0));
  ScaleCandidates candidates;

  for (int64_t first = 0; first < rows; first += kLanes) {
    // Lanes beyond the last row repeat it.
    const auto row_of = [&](int64_t lane) { return std::min(first + lane, rows - 1); };
    const int64_t end = std::min(first + kLanes, rows);
    for (int64_t row = first; row < end; ++row) {
      const auto error = CheckRow(format, weight + row * columns, row, columns, width);
      if (error.has_value()) return error;
    }
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t begin = g * width;
      const int64_t count = std::min(width, columns - begin);
      std::array<WeightRange, kLanes> ranges;
      for (size_t lane = 0; lane < kLanes; ++lane) {
        const int64_t row = row_of(static_cast<int64_t>(lane));
        ranges[lane] = RangeOf(format, weight + row * columns + begin, count);
      }
      FillCandidates(format, trials, ranges, candidates);

      std::array<int8_t, kLanes> winners{};
      if (trials.size() > 1) {
        for (size_t lane = 0; lane < kLanes; ++lane) {
          const float* const in = weight + row_of(static_cast<int64_t>(lane)) * columns + begin;
          for (int64_t c = 0; c < count; ++c) tile[static_cast<size_t>(c)].values[lane] = in[c];
        }
        kernels::SearchScales(tile.front().values.data(), count, candidates, winners.data());
      }

      for (int64_t row = first; row < end; ++row) {
        const auto lane = static_cast<size_t>(row - first);
        const auto k = static_cast<size_t>(winners[lane]);
        const float scale = candidates.scale[k][lane];
        const float zero = format.symmetric ? 0 : -candidates.low[k][lane];
        kernels::EncodeGroup(weight + row * columns + begin, count, scale, candidates.low[k][lane],
                             candidates.high[k][lane], static_cast<int>(zero),
                             output.codes + row * columns + begin);
        const int64_t index = row * groups + g;
        output.scales[index] = Fp16FromFloat(scale);
        if (!format.symmetric) output.zeros[index] = static_cast<uint8_t>(zero);
        if (!output.choice.empty()) output.choice[static_cast<size_t>(index)] = winners[lane];
      }
    }
  }
  return std::nullopt;
}

}  // namespace

std::span<const float> ClipRatios() { return kClipRatios; }

std::optional<WeightError> QuantizeWeights(const float* weight, int64_t rows, int64_t columns,
                                           int64_t bits, int64_t group, WeightSearch search,
                                           int8_t* codes, uint16_t* scales,
                                           std::span<int8_t> choice) {
  Format format;
  format.levels = static_cast<float>((1 << (bits - 1)) - 1);
  format.lowest = bits == 8 ? -format.levels : -format.levels - 1;
  return Quantize(format, weight, rows, columns, group, search,
                  {reinterpret_cast<uint8_t*>(codes), scales, nullptr, choice});
}

std::optional<WeightError> QuantizeWeightsAsymmetric(const float* weight, int64_t rows,
                                                     int64_t columns, int64_t bits, int64_t group,
                                                     WeightSearch search, uint8_t* codes,
                                                     uint16_t* scales, uint8_t* zeros) {
  Format format;
  format.symmetric = false;
  format.levels = static_cast<float>((1 << bits) - 1);
  return Quantize(format, weight, rows, columns, group, search, {codes, scales, zeros, {}});
}

}  // namespace vlaserve
