#include "kernels/isa.h"

#include <cstdlib>

#if defined(VLASERVE_KERNELS_X86)
#include <cpuid.h>
#endif

namespace vlaserve::kernels {
namespace {

constexpr Isa kAll[] = {Isa::kPortable, Isa::kAvx2, Isa::kAvx512Vnni};

#if defined(VLASERVE_KERNELS_X86)
// clang 14 has no name for it. Its registers are AVX's.
bool HasF16c() {
  unsigned int eax = 0;
  unsigned int ebx = 0;
  unsigned int ecx = 0;
  unsigned int edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
#endif

}  // namespace

std::string_view IsaName(Isa isa) {
  switch (isa) {
    case Isa::kPortable:
      return "portable";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512Vnni:
      return "avx512_vnni";
  }
  return "unknown";
}

bool CpuRuns(Isa isa) {
#if defined(VLASERVE_KERNELS_X86)
  // The builtins see no bit of AVX or AVX-512 unless the system saves their registers.
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && HasF16c();
  switch (isa) {
    case Isa::kPortable:
      return true;
    case Isa::kAvx2:
      return avx2;
    case Isa::kAvx512Vnni:
      return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512vnni");
  }
  return false;
#else
  return isa == Isa::kPortable;
#endif
}

std::vector<Isa> RunnableIsas() {
  std::vector<Isa> isas;
  for (const Isa isa : kAll) {
    if (CpuRuns(isa)) isas.push_back(isa);
  }
  return isas;
}

IsaChoice ChooseIsa(const char* name) {
  const std::vector<Isa> runnable = RunnableIsas();
  IsaChoice choice{runnable.back(), ""};
  if (name == nullptr || *name == '\0') return choice;
  std::string names;
  for (const Isa isa : runnable) {
    if (IsaName(isa) == name) return {isa, ""};
    if (!names.empty()) names += ", ";
    names += IsaName(isa);
  }
  choice.problem = std::string("VLASERVE_ISA is '") + name + "', but this processor runs " + names;
  return choice;
}

const IsaChoice& CurrentIsa() {
  static const IsaChoice choice = ChooseIsa(std::getenv("VLASERVE_ISA"));
  return choice;
}

}  // namespace vlaserve::kernels
