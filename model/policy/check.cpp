#include "model/policy/check.h"

#include <algorithm>
#include <utility>

#include "model/policy/torch_policy.h"

namespace vlaserve {
namespace {

class Checker {
 public:
  Checker(TorchPolicy& policy, CheckReport& report) : policy_(policy), report_(report) {}

  Status Run(const GoldenModelCase& golden) {
    Result<std::vector<float>> actions = policy_.model().SampleActions(golden.input, {}, nullptr);
    if (!actions.ok()) return actions.status().WithContext(golden.name);
    Add(*actions, golden.actions);
    ++report_.cases;
    return Status::Ok();
  }

  Status Run(const GoldenObservationCase& golden) {
    InferOptions options;
    options.noise = golden.noise;
    options.num_steps = golden.num_steps;
    const Status valid = policy_.Validate(golden.observation, options);
    if (!valid.ok()) return valid.WithContext(golden.name);
    VLASERVE_ASSIGN_OR_RETURN(Processing::Prepared prepared,
                              policy_.processing().Prepare(golden.observation));
    prepared.input.noise = golden.noise;
    prepared.input.num_steps = golden.num_steps;
    Result<std::vector<float>> model_actions =
        policy_.model().SampleActions(prepared.input, {}, nullptr);
    if (!model_actions.ok()) return model_actions.status().WithContext(golden.name);
    for (const ReferenceTensor& expected : golden.model_actions) Add(*model_actions, expected);
    if (!golden.actions.empty()) {
      VLASERVE_ASSIGN_OR_RETURN(
          const std::vector<double> actions,
          policy_.processing().Finish(*model_actions, golden.observation.state));
      for (const ReferenceTensor& expected : golden.actions) Add(actions, expected);
    }
    ++report_.cases;
    return Status::Ok();
  }

 private:
  template <typename T>
  void Add(const std::vector<T>& values, const ReferenceTensor& expected) {
    report_.comparisons.push_back(Compare(values, expected, report_.tolerance));
  }

  TorchPolicy& policy_;
  CheckReport& report_;
};

void AddIntermediates(const GoldenFolder& folder, Pi0Model& model, CheckReport& report) {
  const auto recorded =
      std::find_if(folder.model_cases.begin(), folder.model_cases.end(),
                   [](const GoldenModelCase& golden) { return !golden.intermediates.empty(); });
  if (recorded == folder.model_cases.end()) {
    report.intermediates_missing = "the folder holds none";
    return;
  }
  const Result<std::vector<NamedArray>> trace = model.Trace(recorded->input);
  if (!trace.ok()) {
    report.intermediates_missing = trace.status().message();
    return;
  }
  report.intermediates = CompareIntermediates(*trace, *recorded, report.tolerance);
}

}  // namespace

Tolerance DefaultTolerance(const std::string& reference) {
  if (reference.find("bf16_policy") != std::string::npos) return {.max = 0.15, .mean = 0.03};
  return {.max = 1e-5, .mean = 1e-5};
}

bool CheckReport::passed() const {
  return cases > 0 && !comparisons.empty() &&
         std::all_of(comparisons.begin(), comparisons.end(),
                     [](const Comparison& comparison) { return comparison.passed; });
}

const Comparison* CheckReport::FirstDeparture() const {
  const auto found = std::find_if(intermediates.begin(), intermediates.end(),
                                  [](const Comparison& comparison) { return !comparison.passed; });
  return found == intermediates.end() ? nullptr : &*found;
}

Result<CheckReport> RunCheck(FileSystem& files, TorchPolicy& policy, const CheckOptions& options) {
  VLASERVE_ASSIGN_OR_RETURN(const GoldenFolder folder,
                            ReadGoldenFolder(files, options.golden, options.reference,
                                             policy.geometry(), policy.settings()));
  CheckReport report;
  report.folder = options.golden;
  report.reference = options.reference;
  report.tolerance = DefaultTolerance(options.reference);
  if (options.tolerance) report.tolerance.max = *options.tolerance;
  if (options.mean_tolerance) report.tolerance.mean = *options.mean_tolerance;

  Checker checker(policy, report);
  for (const GoldenModelCase& golden : folder.model_cases) {
    VLASERVE_RETURN_IF_ERROR(checker.Run(golden));
  }
  for (const GoldenObservationCase& golden : folder.observation_cases) {
    VLASERVE_RETURN_IF_ERROR(checker.Run(golden));
  }
  if (report.cases > 0 && !report.passed()) AddIntermediates(folder, policy.model(), report);
  return report;
}

}  // namespace vlaserve
