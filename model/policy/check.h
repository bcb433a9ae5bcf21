// `vlaserve check`: a policy archive against a folder of golden data. Free of LibTorch headers.
//
// Three kinds of folder are understood; all sizes and the number of cases come from the files:
//   model      cases.json + cases.safetensors with case{i}.tokens: model inputs and actions;
//   lerobot    lerobot_cases.json + .safetensors: LeRobot's numbers for the inputs of a model
//              folder (model_case{i}) and for inputs of their own;
//   observation  cases.json + cases.safetensors with case{i}.observation/state: whole observations,
//              compared both in model space (model_actions) and as the client gets them (actions).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "model/io/file_system.h"
#include "model/io/status.h"
#include "model/policy/compare.h"
#include "model/policy/torch_policy.h"

namespace vlaserve {

struct CheckOptions {
  std::string golden = {};            // folder
  std::string reference = "actions";  // tensor to compare with, without the case's prefix
  // Largest and mean absolute difference that pass; each unset: DefaultTolerance(reference).
  std::optional<double> tolerance = std::nullopt;
  std::optional<double> mean_tolerance = std::nullopt;
};

// 0.15 and mean 0.03 for references computed in bfloat16 (names with "bf16_policy"), else 1e-5 for
// both.
Tolerance DefaultTolerance(const std::string& reference);

struct CheckReport {
  std::string folder;
  std::string reference;
  Tolerance tolerance;
  int cases = 0;                        // cases run
  std::vector<Comparison> comparisons;  // of final results
  // Filled when a comparison failed and the folder holds intermediates, in the order in which the
  // model computes them, of one run with all exact savings off.
  std::vector<Comparison> intermediates;
  // Why there are no intermediates although a comparison failed; empty if there are.
  std::string intermediates_missing;

  // At least one case ran and every comparison of final results passed.
  bool passed() const;
  // The first intermediate that departs; null if none does.
  const Comparison* FirstDeparture() const;
};

// Runs every case of the folder. Errors: what the folder or its files lack (naming file and
// tensor), what running the policy reports. Differences above a tolerance, and no case at all, are
// not errors but a report that did not pass.
Result<CheckReport> RunCheck(FileSystem& files, TorchPolicy& policy, const CheckOptions& options);

// For people: one line a comparison, then the verdict; ends with a newline.
std::string CheckReportText(const CheckReport& report);
// For programs; infinite differences are the string "inf".
nlohmann::json CheckReportJson(const CheckReport& report);

}  // namespace vlaserve
