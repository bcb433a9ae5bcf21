// Which instruction set the CPU kernels use. All give the same integers, and the same floats where
// a header of kernels/ says so; they differ in speed only.
//
// Thread-safety: may be called from any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vlaserve::kernels {

// In ascending order of speed.
enum class Isa {
  kPortable,    // plain C++, any processor
  kAvx2,        // x86-64 with AVX2, FMA and F16C
  kAvx512Vnni,  // x86-64 with AVX-512 F, BW, DQ, VL and VNNI
};

std::string_view IsaName(Isa isa);  // "portable", "avx2", "avx512_vnni"

// Whether this build has code for it and this processor (and operating system) runs that code.
bool CpuRuns(Isa isa);

// The instruction sets for which CpuRuns, ascending; kPortable is always there.
std::vector<Isa> RunnableIsas();

struct IsaChoice {
  Isa isa = Isa::kPortable;
  std::string
      problem;  // not empty: what was asked for cannot be had, and why; `isa` is the fastest
};

// `name` null or empty: the fastest that runs. Else the one of this name; a problem names
// VLASERVE_ISA, what it holds and what this processor runs.
IsaChoice ChooseIsa(const char* name);

// ChooseIsa of the environment variable VLASERVE_ISA, read once at the first call. Programs report
// the problem when they start.
const IsaChoice& CurrentIsa();

}  // namespace vlaserve::kernels
