// The kernels that the tests of this program compare with the portable definitions.
#pragma once

#include <vector>

#include "kernels/cpu/kernel_table.h"

namespace vlaserve {

// tested_kernels.cpp: all that this processor runs. A program that tests others links its own
// definition.
std::vector<const kernels::CpuKernels*> TestedKernels();

}  // namespace vlaserve
