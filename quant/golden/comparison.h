// Compares computed tensors with those of a golden file and keeps account. Free of LibTorch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "model/io/safetensors.h"
#include "quant/golden/summary.h"

namespace vlaserve {

// One file. `file` and `summary` outlive it. Not thread-safe.
class GoldenComparison {
 public:
  GoldenComparison(const SafetensorsFile& file, GoldenSummary& summary)
      : file_(file), summary_(summary) {}

  // Whatever fails from now on belongs to this case.
  void BeginCase(std::string id);
  void Fail(const std::string& tensor, const std::string& difference);

  // A tensor that is an input, null if there is none.
  const TensorView* Input(const std::string& tensor);

  // Compare with `tensor`, if the file has it; return whether it does. Floating-point numbers are
  // equal if their values are (+0 equals -0) or both are NaN; 16-bit ones are given widened.
  bool Floats(const std::string& tensor, std::span<const float> found,
              const std::vector<int64_t>& shape);
  template <typename Integer>
  bool Integers(const std::string& tensor, std::span<const Integer> found,
                const std::vector<int64_t>& shape) {
    return Integers(tensor, std::vector<int64_t>(found.begin(), found.end()), shape);
  }

  // A failure for each tensor that was neither input nor compared.
  void FailUnused();

 private:
  bool Integers(const std::string& tensor, const std::vector<int64_t>& found,
                const std::vector<int64_t>& shape);
  // Null: not there, or of another shape, which is a failure.
  const TensorView* Expected(const std::string& tensor, const std::vector<int64_t>& shape);
  template <typename T>
  void CompareValues(const std::string& tensor, std::span<const T> found,
                     std::span<const T> expected, const std::vector<int64_t>& shape);

  const SafetensorsFile& file_;
  GoldenSummary& summary_;
  std::string case_id_;
  std::set<std::string> used_;
};

}  // namespace vlaserve
