#include "quant/bench/kernel_bench.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include "model/archive/torch_errors.h"
#include "quant/bench/contender.h"
#include "quant/bench/rounds.h"

namespace vlaserve {
namespace {

constexpr int64_t kProbeRows = 32;

std::unique_ptr<BenchCase> MakeCase(const BenchShape& shape, const KernelBenchOptions& options) {
  if (const auto* linear = std::get_if<LinearShape>(&shape.sizes)) {
    return MakeLinearCase(*linear, options);
  }
  if (const auto* mlp = std::get_if<GatedMlpShape>(&shape.sizes)) {
    return MakeGatedMlpCase(*mlp, options);
  }
  return MakeAttentionCase(std::get<AttentionShape>(shape.sizes), options);
}

std::vector<int64_t> RowsOf(const BenchShape& shape, const KernelBenchOptions& options) {
  if (const auto* attention = std::get_if<AttentionShape>(&shape.sizes)) {
    return {attention->queries};
  }
  return options.rows;
}

void Report(const KernelBenchEvents& events, const std::string& text) {
  if (events.progress) events.progress(text);
}

Result<CaseResult> MeasureCase(BenchCase& bench_case, const BenchShape& shape, int64_t rows,
                               const KernelBenchOptions& options, const KernelBenchEvents& events) {
  std::vector<Contender> probes;
  if (rows > kProbeRows) probes = bench_case.Contenders(kProbeRows);
  std::vector<Contender> contenders = bench_case.Contenders(rows);
  LeaveOutSlow(contenders, probes, kProbeRows, rows, options);
  probes.clear();
  Rounds rounds(std::move(contenders), options);
  VLASERVE_RETURN_IF_ERROR(rounds.Check());
  if (events.case_ready) events.case_ready(shape, rows);
  for (int round = 1; round <= options.rounds; ++round) {
    if (events.before_round && !events.before_round()) {
      return Status(StatusCode::kCancelled, "stopped before round " + std::to_string(round));
    }
    rounds.Run();
    if (events.after_round) events.after_round(round);
  }
  return CaseResult{shape, rows, rounds.Results()};
}

Status Measure(const KernelBenchOptions& options, const KernelBenchEvents& events,
               KernelBenchReport& report) {
  const at::NoGradGuard no_gradients;
  if (options.threads > 0) at::set_num_threads(options.threads);
  report.isa = kernels::CurrentIsa().isa;
  report.threads = at::get_num_threads();
  Report(events, "peaks of the processor and of memory");
  report.peaks = MeasurePeaks(report.isa);
  for (const BenchShape& shape : options.shapes) {
    std::unique_ptr<BenchCase> bench_case;
    for (const int64_t rows : RowsOf(shape, options)) {
      const std::string name = shape.name + ", " + std::to_string(rows) + " rows";
      Report(events, name);
      if (bench_case == nullptr) bench_case = MakeCase(shape, options);
      auto result = MeasureCase(*bench_case, shape, rows, options, events);
      if (!result.ok()) return result.status().WithContext(name);
      if (!result->contenders.empty()) report.cases.push_back(*std::move(result));
    }
  }
  if (!report.cases.empty()) return Status::Ok();
  return {StatusCode::kInvalidArgument, "contenders", "none of these shapes has such a contender"};
}

Status CheckContenders(const std::vector<std::string>& wanted) {
  std::vector<std::string> names = LinearContenders();
  for (const std::vector<std::string>& more : {GatedMlpContenders(), AttentionContenders()}) {
    for (const std::string& name : more) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  for (const std::string& beginning : wanted) {
    const auto begins = [&](const std::string& name) { return name.starts_with(beginning); };
    if (std::any_of(names.begin(), names.end(), begins)) continue;
    std::string list;
    for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
    return {StatusCode::kInvalidArgument, "contenders",
            "\"" + beginning + "\" is the beginning of none of " + list};
  }
  return Status::Ok();
}

}  // namespace

Result<KernelBenchReport> BenchKernels(const KernelBenchOptions& options,
                                       const KernelBenchEvents& events) {
  VLASERVE_RETURN_IF_ERROR(CheckContenders(options.contenders));
  KernelBenchReport report;
  VLASERVE_RETURN_IF_ERROR(
      CatchTorchErrors("LibTorch", [&] { return Measure(options, events, report); }));
  return report;
}

}  // namespace vlaserve
