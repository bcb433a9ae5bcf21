#include "kernels/cpu/kernel_table.h"

#include "kernels/cpu/portable/functions.h"
#if defined(VLASERVE_KERNELS_X86)
#include "kernels/cpu/avx2/functions.h"
#include "kernels/cpu/avx512_vnni/functions.h"
#endif

namespace vlaserve::kernels {

const CpuKernels& KernelsFor([[maybe_unused]] Isa isa) {
  static constexpr CpuKernels kPortable = {Isa::kPortable,        portable::kMaxRows,
                                           portable::RunGemm,     portable::RunGatedHidden,
                                           portable::RunQuantize, portable::RunAttention};
#if defined(VLASERVE_KERNELS_X86)
  static constexpr CpuKernels kAvx2 = {Isa::kAvx2,           avx2::kMaxRows,    avx2::RunGemm,
                                       avx2::RunGatedHidden, avx2::RunQuantize, avx2::RunAttention};
  static constexpr CpuKernels kAvx512Vnni = {Isa::kAvx512Vnni,         avx512_vnni::kMaxRows,
                                             avx512_vnni::RunGemm,     avx512_vnni::RunGatedHidden,
                                             avx512_vnni::RunQuantize, avx512_vnni::RunAttention};
  if (isa == Isa::kAvx512Vnni) return kAvx512Vnni;
  if (isa == Isa::kAvx2) return kAvx2;
#endif
  return kPortable;
}

}  // namespace vlaserve::kernels
