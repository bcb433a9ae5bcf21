#include "kernels/peak.h"

#if defined(VLASERVE_KERNELS_X86)
#include "kernels/cpu/avx2/peak.h"
#include "kernels/cpu/avx512_vnni/peak.h"
#endif

namespace vlaserve::kernels {

PeakLoop IntegerPeakLoop([[maybe_unused]] Isa isa) {
#if defined(VLASERVE_KERNELS_X86)
  if (isa == Isa::kAvx512Vnni) return avx512_vnni::IntegerPeakLoop();
  if (isa == Isa::kAvx2) return avx2::IntegerPeakLoop();
#endif
  return {};
}

PeakLoop Float32PeakLoop([[maybe_unused]] Isa isa) {
#if defined(VLASERVE_KERNELS_X86)
  if (isa == Isa::kAvx512Vnni) return avx512_vnni::Float32PeakLoop();
  if (isa == Isa::kAvx2) return avx2::Float32PeakLoop();
#endif
  return {};
}

}  // namespace vlaserve::kernels
