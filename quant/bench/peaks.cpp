#include "quant/bench/peaks.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include <ATen/Parallel.h>

#include "kernels/peak.h"
#include "quant/bench/clock.h"

namespace vlaserve {
namespace {

constexpr int kRepetitions = 7;

// The same loop on every thread.
double SecondsOf(const kernels::PeakLoop& loop, int64_t iterations) {
  const double begin = MonotonicSeconds();
  at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) loop.run(iterations);
  });
  return MonotonicSeconds() - begin;
}

double OperationsPerSecond(const kernels::PeakLoop& loop) {
  if (loop.run == nullptr) return 0;
  constexpr double kSeconds = 0.03;
  int64_t iterations = 1 << 12;
  while (SecondsOf(loop, iterations) < kSeconds) iterations *= 2;
  double seconds = SecondsOf(loop, iterations);
  for (int i = 1; i < kRepetitions; ++i) seconds = std::min(seconds, SecondsOf(loop, iterations));
  return loop.operations * static_cast<double>(iterations) * at::get_num_threads() / seconds;
}

double MemoryBytesPerSecond() {
  constexpr int64_t kWords = int64_t{1} << 26;  // 512 MiB
  constexpr int64_t kWordsPerTask = int64_t{1} << 16;
  // Written, so that every page has memory of its own.
  const std::vector<uint64_t> words(kWords, 1);
  double best = 0;
  for (int i = 0; i < kRepetitions; ++i) {
    const double begin = MonotonicSeconds();
    at::parallel_for(0, kWords, kWordsPerTask, [&](int64_t first, int64_t last) {
      // Four chains: one would wait for its own additions.
      uint64_t sums[4] = {};
      for (int64_t w = first; w + 4 <= last; w += 4) {
        for (int64_t j = 0; j < 4; ++j) sums[j] += words[static_cast<size_t>(w + j)];
      }
      asm volatile("" : : "r"(sums[0] + sums[1] + sums[2] + sums[3]));
    });
    best = std::max(best, static_cast<double>(kWords) * 8 / (MonotonicSeconds() - begin));
  }
  return best;
}

}  // namespace

Peaks MeasurePeaks(kernels::Isa isa) {
  const kernels::PeakLoop integer = kernels::IntegerPeakLoop(isa);
  const kernels::PeakLoop float32 = kernels::Float32PeakLoop(kernels::RunnableIsas().back());
  Peaks peaks;
  peaks.integer_instructions = integer.instructions;
  peaks.integer = OperationsPerSecond(integer);
  peaks.float32_instructions = float32.instructions;
  peaks.float32 = OperationsPerSecond(float32);
  peaks.memory = MemoryBytesPerSecond();
  return peaks;
}

}  // namespace vlaserve
