#include "quant/golden/tensor_compare.h"

#include <array>
#include <cstdio>

#include <ATen/ATen.h>

namespace vlaserve {
namespace {

std::string Number(double value) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%.9g", value);
  return text.data();
}

bool IsInteger(DType dtype) {
  return dtype != DType::kF32 && dtype != DType::kF64 && dtype != DType::kF16 &&
         dtype != DType::kBF16;
}

std::string Shape(const at::Tensor& tensor) {
  return ShapeToString({tensor.sizes().data(), tensor.sizes().size()});
}

// "[3, 17]: -4, expected -3" of the element at a flat index.
std::string ElementDifference(const at::Tensor& actual, const at::Tensor& expected, int64_t flat) {
  std::vector<int64_t> index(static_cast<size_t>(expected.dim()));
  int64_t rest = flat;
  for (size_t d = index.size(); d-- > 0;) {
    index[d] = rest % expected.size(static_cast<int64_t>(d));
    rest /= expected.size(static_cast<int64_t>(d));
  }
  return ShapeToString(index) + ": " + Number(actual.reshape({-1})[flat].item().toDouble()) +
         ", expected " + Number(expected.reshape({-1})[flat].item().toDouble());
}

// Index of the first true element, -1 if there is none.
int64_t FirstTrue(const at::Tensor& mask) {
  const at::Tensor where = at::nonzero(mask.reshape({-1}));
  return where.size(0) == 0 ? -1 : where[0][0].item<int64_t>();
}

}  // namespace

at::Tensor ToTensor(const TensorView& view) {
  if (IsInteger(view.dtype)) {
    const std::vector<int64_t> values = view.ToInts();
    return at::tensor(values, at::TensorOptions(at::kLong)).reshape(view.shape);
  }
  const std::vector<float> values = view.ToFloats();
  return at::tensor(values, at::TensorOptions(at::kFloat)).reshape(view.shape);
}

double Nmse(const at::Tensor& actual, const at::Tensor& expected) {
  const at::Tensor reference = expected.to(at::kDouble);
  const double error = at::sum(at::square(actual.to(at::kDouble) - reference)).item<double>();
  const double power = at::sum(at::square(reference)).item<double>();
  return error == 0 ? 0 : error / power;
}

bool CaseComparison::SameShape(const std::string& tensor, const at::Tensor& actual,
                               const at::Tensor& expected) {
  ++summary_.comparisons;
  if (actual.sizes() == expected.sizes()) return true;
  Fail(tensor, "shape " + Shape(actual) + ", expected " + Shape(expected));
  return false;
}

void CaseComparison::Fail(const std::string& tensor, const std::string& difference) {
  summary_.failures.push_back({case_id_, tensor, difference});
}

void CaseComparison::Condition(const std::string& tensor, bool holds,
                               const std::string& otherwise) {
  ++summary_.comparisons;
  if (!holds) Fail(tensor, otherwise);
}

void CaseComparison::Exact(const std::string& tensor, const at::Tensor& actual,
                           const at::Tensor& expected) {
  if (!SameShape(tensor, actual, expected)) return;
  const at::Tensor a = actual.to(at::kDouble);
  const at::Tensor e = expected.to(at::kDouble);
  const int64_t first = FirstTrue(at::logical_not((a == e) | (at::isnan(a) & at::isnan(e))));
  if (first >= 0) Fail(tensor, ElementDifference(a, e, first));
}

void CaseComparison::Within(const std::string& tensor, double limit, const at::Tensor& actual,
                            const at::Tensor& expected) {
  if (!SameShape(tensor, actual, expected) || expected.numel() == 0) return;
  const at::Tensor a = actual.to(at::kDouble);
  const at::Tensor e = expected.to(at::kDouble);
  const at::Tensor finite = at::isfinite(e);
  const double largest = at::amax(at::where(finite, at::abs(e), at::zeros_like(e))).item<double>();
  const at::Tensor same = (a == e) | (at::isnan(a) & at::isnan(e));
  const int64_t first =
      FirstTrue(at::logical_not(same | (finite & (at::abs(a - e) <= limit * largest))));
  if (first >= 0) {
    Fail(tensor, ElementDifference(a, e, first) + " (allowed: " + Number(limit * largest) + ")");
  }
}

void CaseComparison::NmseWithin(const std::string& tensor, double limit, const at::Tensor& actual,
                                const at::Tensor& expected) {
  if (!SameShape(tensor, actual, expected)) return;
  const double nmse = Nmse(actual, expected);
  if (!(nmse <= limit)) Fail(tensor, "NMSE " + Number(nmse) + ", allowed " + Number(limit));
}

}  // namespace vlaserve
