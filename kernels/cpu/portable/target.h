// Two copies of one function: for any x86-64, and for AVX2 with FMA. The body is an always-inline
// function of plain C++; results are the same in both, because every operation is written out and
// contraction is off for this folder (kernels/CMakeLists.txt).
//
//   VLASERVE_INLINE_BODY void SumBody(…) { … }
//   void SumAnyCpu(…) { SumBody(…); }
//   VLASERVE_AVX2 void SumAvx2(…) { SumBody(…); }
//   … kernels::CpuHasAvx2() ? SumAvx2(…) : SumAnyCpu(…)
//
// Chosen by hand instead of target_clones: an ifunc runs before a sanitizer's run-time library is
// ready. VLASERVE_ISA (kernels/isa.h) chooses here too; without VLASERVE_KERNELS_X86 only the first
// copy is in use, so that tests see both.
#pragma once

#include "kernels/isa.h"

#define VLASERVE_INLINE_BODY inline __attribute__((always_inline))

#if defined(__x86_64__)
#define VLASERVE_AVX2 __attribute__((target("avx2,fma")))
#else
#define VLASERVE_AVX2
#endif

namespace vlaserve::kernels {

inline bool CpuHasAvx2() { return CurrentIsa().isa >= Isa::kAvx2; }

}  // namespace vlaserve::kernels
