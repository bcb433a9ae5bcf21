// Speed of what packing and the reference engine spend their time in, per core. Hidden: run it with
// `kernels_portable_test "[throughput]"` on a machine with AVX2.

#include <cstdint>
#include <iostream>
#include <vector>

#include <time.h>

#include "kernels/int_linear.h"
#include "kernels/quantize.h"
#include "tests/kernels/random_values.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

// Of this thread: other work on the machine hardly changes it.
double CpuSeconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

TEST_CASE("throughput of the clip search", "[.throughput]") {
  const int64_t rows = 1024;
  const int64_t columns = 2048;
  const std::vector<float> weight = RandomFloats(41, rows * columns);
  std::vector<int8_t> codes(weight.size());
  std::vector<uint16_t> scales(weight.size() / 32);
  for (const int64_t group : {0, 32, 128}) {
    const double begin = CpuSeconds();
    REQUIRE_FALSE(QuantizeWeights(weight.data(), rows, columns, 4, group, WeightSearch::kClipSearch,
                                  codes.data(), scales.data(), {}));
    const double rate = static_cast<double>(weight.size()) / (CpuSeconds() - begin);
    std::cout << "clip search, group " << group << ": " << rate / 1e6 << " M weights/s\n";
    CHECK(rate > 40e6);
  }
}

TEST_CASE("throughput of the integer linear", "[.throughput]") {
  const int64_t features = 128;
  for (const int64_t columns : {2048, 16384}) {
    for (const int64_t group : {0, 128}) {
      const int64_t groups = GroupCount(columns, group);
      const std::vector<int8_t> nibbles = RandomCodes(42, features * columns / 2, -128, 127);
      const std::vector<uint8_t> stored(nibbles.begin(), nibbles.end());
      const std::vector<uint16_t> scales(static_cast<size_t>(features * groups), 0x3C00);
      const IntWeights weights{features, columns, 4, group, stored.data(), scales.data()};
      IntActivations x;
      x.rows = 816;
      x.columns = columns;
      x.group = group;
      x.codes = RandomCodes(43, x.rows * columns, -127, 127);
      x.scales.assign(static_cast<size_t>(x.rows * groups), 1.0f);
      std::vector<float> y(static_cast<size_t>(x.rows * features));
      const double begin = CpuSeconds();
      IntLinear(x, weights, nullptr, 0, features, y.data());
      const double rate =
          2 * static_cast<double>(x.rows * features * columns) / (CpuSeconds() - begin);
      std::cout << "integer linear, M 816, K " << columns << ", group " << group << ": "
                << rate / 1e9 << " GOP/s\n";
      CHECK(rate > 20e9);
    }
  }
}

}  // namespace
}  // namespace vlaserve
