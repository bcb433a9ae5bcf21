// What this machine can do at best: the yardstick of the kernel benchmark.
#pragma once

#include <string>

#include "kernels/isa.h"

namespace vlaserve {

// Operations (a multiplication and an addition count as two) and bytes per second of all threads
// together.
struct Peaks {
  std::string integer_instructions;  // empty: the instruction set has none (portable)
  double integer = 0;                // 0: none
  std::string float32_instructions;
  double float32 = 0;  // 0: unknown
  double memory = 0;   // reading, much more than the caches hold
};

// With LibTorch's threads (at::parallel_for), best of several. `isa` gives the integer instruction;
// float32 is that of the fastest instruction set of this processor, which LibTorch uses too. About
// a second.
Peaks MeasurePeaks(kernels::Isa isa);

}  // namespace vlaserve
