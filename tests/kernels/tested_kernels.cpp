#include "tests/kernels/tested_kernels.h"

namespace vlaserve {

std::vector<const kernels::CpuKernels*> TestedKernels() {
  std::vector<const kernels::CpuKernels*> tables;
  for (const kernels::Isa isa : kernels::RunnableIsas()) {
    tables.push_back(&kernels::KernelsFor(isa));
  }
  return tables;
}

}  // namespace vlaserve
