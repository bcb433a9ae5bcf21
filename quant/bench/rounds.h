// Contenders of one case, checked and measured in turns. Includes LibTorch.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "model/io/status.h"
#include "quant/bench/contender.h"

namespace vlaserve {

// Marks as missing those of which one call would take longer than options.contender_seconds, judged
// by `probes`: the same contenders on `probe_rows` rows. No probes: nobody.
void LeaveOutSlow(std::vector<Contender>& contenders, const std::vector<Contender>& probes,
                  int64_t probe_rows, int64_t rows, const KernelBenchOptions& options);

// Check once, then Run for every round. Throws what a contender throws.
class Rounds {
 public:
  Rounds(std::vector<Contender> contenders, const KernelBenchOptions& options)
      : contenders_(std::move(contenders)), options_(options), timings_(contenders_.size()) {}

  // Every contender computes once, which warms up, and is compared with what it should compute.
  // Error: kInternal for one whose result is wrong.
  Status Check();

  // A turn for each contender that has time left.
  void Run();

  std::vector<ContenderResult> Results() const;

 private:
  struct Timing {
    double error = 0;
    double spent_seconds = 0;
    int64_t calls = 0;                 // so far: chooses the copies of weights
    std::vector<double> call_seconds;  // of each round
  };

  void Turn(const Contender& contender, Timing& timing);

  std::vector<Contender> contenders_;
  KernelBenchOptions options_;
  std::vector<Timing> timings_;  // one per contender
};

}  // namespace vlaserve
