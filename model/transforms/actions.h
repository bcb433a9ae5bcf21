// From un-normalised model output to the actions that a client gets (spec pi0.md §3.2).
//
// Actions are rows of `width` values, row-major. Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/io/status.h"

namespace vlaserve {

// Turns offsets into absolute actions, in place: column j of every row gets the raw state's j-th
// value added where mask[j] is true (openpi `transforms.AbsoluteActions`). `state` is in the units
// of the actions. An empty mask changes nothing. kInvalidArgument if the mask is longer than the
// rows or than the state.
Status AddStateToDeltaActions(const std::vector<bool>& mask, std::span<const double> state,
                              int64_t width, std::span<double> actions);

// The first `columns` columns of every row. Precondition: 0 < columns <= width and actions.size()
// is a multiple of width.
std::vector<double> FirstColumns(std::span<const double> actions, int64_t width, int64_t columns);

}  // namespace vlaserve
