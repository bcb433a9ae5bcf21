// NumPy's .npy arrays, version 1.0
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/io/status.h"

namespace vlaserve {

// A view into the parsed bytes. Shapes are [], [n] or [n, m].
struct NpyArray {
  std::string descr;  // "<f4"
  bool fortran_order = false;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;
};

// Checks magic, version, header and that the data has exactly the announced size. `origin` (file
// and entry) starts every message; errors are kUnreadable. Element types: "<f4", "<i8", "<U…".
Result<NpyArray> ParseNpy(std::span<const std::byte> bytes, std::string_view origin);

// The elements in C order; kUnreadable unless the array has this descr ("<f4", "<i8").
Result<std::vector<float>> NpyFloats(const NpyArray& array, std::string_view origin);
Result<std::vector<int64_t>> NpyInts(const NpyArray& array, std::string_view origin);
// A 0-d "<U…" array (UTF-32) as UTF-8, without the NULs that pad it.
Result<std::string> NpyText(const NpyArray& array, std::string_view origin);

}  // namespace vlaserve
