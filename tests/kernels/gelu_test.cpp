#include "kernels/cpu/gelu.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tests/kernels/gated_biases.h"
#include "tests/kernels/random_values.h"
#include "tests/kernels/tested_kernels.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

std::vector<float> Gelu(const kernels::CpuKernels& cpu, const std::vector<float>& values) {
  const std::vector<float> ones(values.size(), 1.0f);
  GatedBiases mlp(1, values, ones, 1, cpu);
  mlp.Run();
  return mlp.hidden();
}

TEST_CASE("GELU: the error that gelu.h states, the same bits everywhere") {
  const double factor = 2 * std::sqrt(2 / std::acos(-1.0));
  std::vector<float> values = RandomFloats(1, 4000);
  for (int i = -24000; i <= 24000; ++i) values.push_back(static_cast<float>(i) / 2000);
  for (float x = 1e-38f; x < 1e37f; x *= 1.5f) {
    values.push_back(x);
    values.push_back(-x);
  }
  std::vector<float> first;
  for (const kernels::CpuKernels* const cpu : TestedKernels()) {
    const std::vector<float> result = Gelu(*cpu, values);
    double worst = 0;  // as a share of the bound
    for (size_t i = 0; i < values.size(); ++i) {
      const double g = values[i];
      const double z = -factor * (g + 0.044715 * g * g * g);
      const double expected = g / (1 + std::exp(z));
      const double error = std::abs(static_cast<double>(result[i]) - expected);
      if (z > 88) {
        REQUIRE(std::abs(expected) < 1e-37);
        REQUIRE(error < 1e-37);
      } else {
        worst = std::max(worst, error / ((4 + 4 * std::max(0.0, z)) * 0x1p-24 * std::abs(expected) +
                                         std::numeric_limits<float>::denorm_min()));
      }
    }
    CAPTURE(kernels::IsaName(cpu->isa), worst);
    CHECK(worst <= 1);
    if (first.empty()) first = result;
    CHECK(result == first);
  }
}

TEST_CASE("GELU: limits") {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float most = std::numeric_limits<float>::max();
  for (const kernels::CpuKernels* const cpu : TestedKernels()) {
    CAPTURE(kernels::IsaName(cpu->isa));
    const std::vector<float> y =
        Gelu(*cpu, {0, 20, 1e19f, most, -20, -1e19f, -most, infinity, nan, -nan, -infinity});
    CHECK(std::vector<float>(y.begin(), y.begin() + 8) ==
          std::vector<float>{0, 20, 1e19f, most, 0, 0, 0, infinity});
    for (size_t i = 8; i < y.size(); ++i) CHECK(std::isnan(y[i]));
  }
}

}  // namespace
}  // namespace vlaserve
