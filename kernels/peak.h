// Loops of one kind of instruction, for measuring the most that a processor can do.
//
// Registers only, no memory, no branches but the loop's own: as many independent chains as hide the
// instructions' latencies.
//
// Thread-safety: pure functions.
#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace vlaserve::kernels {

struct PeakLoop {
  const char* instructions = "";              // one iteration's kinds, for people
  double operations = 0;                      // multiplications and additions per iteration
  void (*run)(int64_t iterations) = nullptr;  // null: none
};

// The instructions that the integer GEMM multiplies with. kPortable: none.
PeakLoop IntegerPeakLoop(Isa isa);

// Fused multiply-adds of float32. kPortable: none.
PeakLoop Float32PeakLoop(Isa isa);

}  // namespace vlaserve::kernels
