// What `vlaserve bench kernels` prints.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "quant/bench/kernel_bench.h"

namespace vlaserve {

// Ratios are times: how many times as long LibTorch's fastest contender of that arithmetic takes.
// Fractions of the peak are of the integer or the float32 peak, after a contender's arithmetic.
nlohmann::ordered_json KernelBenchJson(const KernelBenchReport& report);

// A table per case.
std::string KernelBenchText(const KernelBenchReport& report);

// The tables of the README.
std::string KernelBenchMarkdown(const KernelBenchReport& report);

}  // namespace vlaserve
