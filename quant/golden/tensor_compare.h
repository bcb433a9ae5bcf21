// Comparisons of tensors with golden values. Includes LibTorch.
#pragma once

#include <string>

#include <ATen/core/Tensor.h>

#include "model/io/safetensors.h"
#include "model/io/status.h"
#include "quant/golden/summary.h"

namespace vlaserve {

// A stored tensor of floats as float32 (bfloat16 is widened exactly), of integers as int64.
at::Tensor ToTensor(const TensorView& view);

// Σ (actual - expected)² / Σ expected², in double; 0 for two zeros.
double Nmse(const at::Tensor& actual, const at::Tensor& expected);

// Adds what it compares to one case of a summary. NaN equals NaN; +0 equals -0.
class CaseComparison {
 public:
  CaseComparison(GoldenSummary& summary, std::string case_id)
      : summary_(summary), case_id_(std::move(case_id)) {}

  void Exact(const std::string& tensor, const at::Tensor& actual, const at::Tensor& expected);
  // max|actual - expected| ≤ limit · max|expected| over what is finite; the rest at the same
  // places.
  void Within(const std::string& tensor, double limit, const at::Tensor& actual,
              const at::Tensor& expected);
  void NmseWithin(const std::string& tensor, double limit, const at::Tensor& actual,
                  const at::Tensor& expected);
  void Condition(const std::string& tensor, bool holds, const std::string& otherwise);
  void Fail(const std::string& tensor, const std::string& difference);

 private:
  // False, with a failure, if the shapes differ.
  bool SameShape(const std::string& tensor, const at::Tensor& actual, const at::Tensor& expected);

  GoldenSummary& summary_;
  std::string case_id_;
};

}  // namespace vlaserve
