// What a comparison with golden data found. Free of LibTorch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace vlaserve {

struct GoldenFailure {
  std::string case_id;     // "k1200_tail", "sweep_k320 w4_rtn_g32.a64"
  std::string value;       // "w_codes", "lines"; empty if it is the case as a whole
  std::string difference;  // the first one: "[3, 17]: -4, expected -3"
};

struct GoldenSummary {
  int64_t cases = 0;        // compared, failed ones included
  int64_t comparisons = 0;  // of tensors, lists, texts or numbers
  std::vector<GoldenFailure> failures;
};

}  // namespace vlaserve
