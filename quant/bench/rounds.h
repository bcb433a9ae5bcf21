// Contenders of one case, checked and measured in turns. Includes LibTorch.
#pragma once

#include <vector>

#include "model/io/status.h"
#include "quant/bench/contender.h"

namespace vlaserve {

// Leaves out what one call of would take longer than options.contender_seconds, judged by
// `probes`: the same contenders on `probe_rows` rows. May be empty: everybody stays.
void LeaveOutSlow(std::vector<Contender>& contenders, const std::vector<Contender>& probes,
                  int64_t probe_rows, int64_t rows, const KernelBenchOptions& options);

// Every contender computes once and is compared with float32, then events.case_ready of the case's
// owner is due; then rounds begin.
class Rounds {
 public:
  Rounds(std::vector<Contender> contenders, const KernelBenchOptions& options)
      : contenders_(std::move(contenders)), options_(options), timings_(contenders_.size()) {}

  // The call that warms up. Error: kInternal for one whose result is wrong.
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
