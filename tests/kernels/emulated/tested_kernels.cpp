#include "tests/kernels/tested_kernels.h"

#include "kernels/cpu/avx512_vnni/functions.h"

namespace vlaserve {

// This file and the kernels are compiled with avx512_vnni defined as another name, so that their
// symbols differ from those of the real kernels, which are linked too.
std::vector<const kernels::CpuKernels*> TestedKernels() {
  static constexpr kernels::CpuKernels kEmulated = {
      kernels::Isa::kAvx512Vnni,         kernels::avx512_vnni::kMaxRows,
      kernels::avx512_vnni::RunGemm,     kernels::avx512_vnni::RunGatedHidden,
      kernels::avx512_vnni::RunQuantize, kernels::avx512_vnni::RunAttention};
  return {&kEmulated};
}

}  // namespace vlaserve
