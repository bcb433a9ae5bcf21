// Loops for measuring peaks on AVX-512 and VNNI: contracts in kernels/peak.h.
#pragma once

#include "kernels/peak.h"

namespace vlaserve::kernels::avx512_vnni {

PeakLoop IntegerPeakLoop();
PeakLoop Float32PeakLoop();

}  // namespace vlaserve::kernels::avx512_vnni
