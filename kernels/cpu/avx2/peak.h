// Loops for measuring peaks on AVX2 and FMA: contracts in kernels/peak.h.
#pragma once

#include "kernels/peak.h"

namespace vlaserve::kernels::avx2 {

PeakLoop IntegerPeakLoop();
PeakLoop Float32PeakLoop();

}  // namespace vlaserve::kernels::avx2
