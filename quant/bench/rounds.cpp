#include "quant/bench/rounds.h"

#include <algorithm>
#include <string>
#include <utility>

#include "quant/bench/case_parts.h"
#include "quant/bench/clock.h"

namespace vlaserve {
namespace {

double SecondsOfCall(const Contender& contender, int64_t call) {
  const double begin = MonotonicSeconds();
  contender.run(call);
  return MonotonicSeconds() - begin;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::string Rounded(double value) {
  std::string text = std::to_string(value);
  return text.substr(0, text.find('.') + 4);
}

}  // namespace

void LeaveOutSlow(std::vector<Contender>& contenders, const std::vector<Contender>& probes,
                  int64_t probe_rows, int64_t rows, const KernelBenchOptions& options) {
  for (size_t i = 0; i < probes.size(); ++i) {
    if (!contenders[i].missing.empty()) continue;
    // The first call also pays for memory that is new.
    const double seconds = std::min(SecondsOfCall(probes[i], 0), SecondsOfCall(probes[i], 1));
    const double estimate = seconds * static_cast<double>(rows) / static_cast<double>(probe_rows);
    if (estimate <= options.contender_seconds) continue;
    contenders[i].missing =
        "one call would take some " + std::to_string(static_cast<int64_t>(estimate)) +
        " seconds; --contender-seconds allows " + Rounded(options.contender_seconds);
  }
}

Status Rounds::Check() {
  for (size_t i = 0; i < contenders_.size(); ++i) {
    const Contender& contender = contenders_[i];
    if (!contender.missing.empty()) continue;
    timings_[i].spent_seconds = SecondsOfCall(contender, timings_[i].calls++);
    timings_[i].error = RelativeError(contender.result(), contender.expected());
    if (timings_[i].error > contender.tolerance) {
      return {StatusCode::kInternal,
              contender.name + " differs from float32 by " + Rounded(timings_[i].error) +
                  " of the result's norm; its rounding explains " + Rounded(contender.tolerance)};
    }
  }
  return Status::Ok();
}

void Rounds::Run() {
  for (size_t i = 0; i < contenders_.size(); ++i) {
    if (!contenders_[i].missing.empty()) continue;
    Timing& timing = timings_[i];
    if (timing.call_seconds.empty() || timing.spent_seconds < options_.contender_seconds) {
      Turn(contenders_[i], timing);
    }
  }
}

void Rounds::Turn(const Contender& contender, Timing& timing) {
  const double begin = MonotonicSeconds();
  double seconds = 0;
  int64_t calls = 0;
  do {
    contender.run(timing.calls++);
    ++calls;
    seconds = MonotonicSeconds() - begin;
  } while (seconds < options_.turn_seconds);
  timing.spent_seconds += seconds;
  timing.call_seconds.push_back(seconds / static_cast<double>(calls));
}

std::vector<ContenderResult> Rounds::Results() const {
  std::vector<ContenderResult> results;
  for (size_t i = 0; i < contenders_.size(); ++i) {
    const Contender& contender = contenders_[i];
    const Timing& timing = timings_[i];
    ContenderResult result;
    result.name = contender.name;
    result.arithmetic = contender.arithmetic;
    result.operations = contender.operations;
    result.weight_bytes = contender.weight_bytes;
    result.error = timing.error;
    result.missing = contender.missing;
    result.rounds = static_cast<int>(timing.call_seconds.size());
    if (result.rounds > 0) {
      result.best_seconds =
          *std::min_element(timing.call_seconds.begin(), timing.call_seconds.end());
      result.median_seconds = Median(timing.call_seconds);
    }
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace vlaserve
