// Records what passes through one linear: the largest magnitudes, and a bounded choice of rows.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "quant/calibration/calibration.h"

namespace vlaserve {

// The choice of rows is CALIBRATION_FORMAT.md's: it depends on the seed, the step and the number of
// the row only, so that the recorders of linears with the same input keep the same rows.
//
// Memory: at most 4 · columns · (1 + max_rows · denoise steps) bytes: for 128 rows and 10 steps,
// 5.2 MB for a width of 1024 in the expert; what runs once per observation takes a tenth.
//
// Thread-safety: none.
class LayerRecorder {
 public:
  // `columns` ≥ 1; keeps at most `max_rows` ≥ 0 rows of each denoise step; `seed` ≥ 0.
  LayerRecorder(int64_t columns, int64_t max_rows, int64_t seed);

  // Rows [n, columns] of denoise step `step` ≥ 0. Returns the first row that holds NaN or Inf, if
  // there is one: nothing is recorded then.
  std::optional<int64_t> Record(std::span<const float> rows, int64_t step);

  // Everything recorded so far.
  const LayerCalibration& layer() const { return layer_; }
  // The same, moved out; the recorder must not be used afterwards.
  LayerCalibration Take() { return std::move(layer_); }

 private:
  // Where the row number `row` of its step goes; nullopt: it is not kept.
  std::optional<int64_t> Place(int64_t row, int64_t step) const;

  LayerCalibration layer_;
  int64_t max_rows_;
  uint64_t seed_;
  std::vector<int64_t> seen_;  // rows, by denoise step
};

}  // namespace vlaserve
