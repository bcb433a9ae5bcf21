#include "model/transforms/actions.h"

#include <cassert>
#include <cstddef>
#include <string>

namespace vlaserve {

Status AddStateToDeltaActions(const std::vector<bool>& mask, std::span<const double> state,
                              int64_t width, std::span<double> actions) {
  const size_t columns = static_cast<size_t>(width);
  assert(width > 0 && actions.size() % columns == 0);
  if (mask.size() > columns || mask.size() > state.size()) {
    return Status(StatusCode::kInvalidArgument,
                  "delta action mask of " + std::to_string(mask.size()) +
                      " dimensions fits neither more than " + std::to_string(columns) +
                      " action dimensions nor more than " + std::to_string(state.size()) +
                      " state dimensions");
  }
  for (size_t row = 0; row < actions.size(); row += columns) {
    for (size_t i = 0; i < mask.size(); ++i) {
      if (mask[i]) actions[row + i] += state[i];
    }
  }
  return Status::Ok();
}

std::vector<double> FirstColumns(std::span<const double> actions, int64_t width, int64_t columns) {
  assert(0 < columns && columns <= width && actions.size() % static_cast<size_t>(width) == 0);
  std::vector<double> result;
  const size_t row_width = static_cast<size_t>(width);
  result.reserve(actions.size() / row_width * static_cast<size_t>(columns));
  for (size_t row = 0; row < actions.size(); row += row_width) {
    const auto begin = actions.begin() + static_cast<ptrdiff_t>(row);
    result.insert(result.end(), begin, begin + columns);
  }
  return result;
}

}  // namespace vlaserve
