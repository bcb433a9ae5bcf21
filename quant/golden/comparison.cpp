#include "quant/golden/comparison.h"

#include <cmath>
#include <sstream>
#include <utility>

namespace vlaserve {
namespace {

bool Same(int64_t a, int64_t b) { return a == b; }
bool Same(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }

// "[3, 17]"
std::string Place(size_t index, const std::vector<int64_t>& shape) {
  std::vector<int64_t> place(shape.size());
  auto rest = static_cast<int64_t>(index);
  for (size_t d = shape.size(); d-- > 0;) {
    place[d] = rest % shape[d];
    rest /= shape[d];
  }
  return ShapeToString(place);
}

}  // namespace

void GoldenComparison::BeginCase(std::string id) {
  case_id_ = std::move(id);
  ++summary_.cases;
}

void GoldenComparison::Fail(const std::string& tensor, const std::string& difference) {
  summary_.failures.push_back({case_id_, tensor, difference});
}

const TensorView* GoldenComparison::Input(const std::string& tensor) {
  used_.insert(tensor);
  return file_.Find(tensor);
}

const TensorView* GoldenComparison::Expected(const std::string& tensor,
                                             const std::vector<int64_t>& shape) {
  used_.insert(tensor);
  const TensorView* const expected = file_.Find(tensor);
  if (expected == nullptr) return nullptr;
  ++summary_.comparisons;
  if (expected->shape == shape) return expected;
  Fail(tensor, "shape " + ShapeToString(shape) + ", expected " + ShapeToString(expected->shape));
  return nullptr;
}

template <typename T>
void GoldenComparison::CompareValues(const std::string& tensor, std::span<const T> found,
                                     std::span<const T> expected,
                                     const std::vector<int64_t>& shape) {
  for (size_t i = 0; i < expected.size(); ++i) {
    if (Same(found[i], expected[i])) continue;
    std::ostringstream difference;
    difference.precision(9);
    difference << Place(i, shape) << ": " << found[i] << ", expected " << expected[i];
    Fail(tensor, difference.str());
    return;
  }
}

bool GoldenComparison::Floats(const std::string& tensor, std::span<const float> found,
                              const std::vector<int64_t>& shape) {
  const TensorView* const expected = Expected(tensor, shape);
  if (expected != nullptr) {
    CompareValues<float>(tensor, found, expected->ToFloats(), shape);
  }
  return file_.Find(tensor) != nullptr;
}

bool GoldenComparison::Integers(const std::string& tensor, const std::vector<int64_t>& found,
                                const std::vector<int64_t>& shape) {
  const TensorView* const expected = Expected(tensor, shape);
  if (expected != nullptr) {
    CompareValues<int64_t>(tensor, found, expected->ToInts(), shape);
  }
  return file_.Find(tensor) != nullptr;
}

void GoldenComparison::FailUnused() {
  for (const auto& [name, tensor] : file_.tensors()) {
    if (!used_.contains(name)) Fail(name, "neither an input nor compared: unknown to this program");
  }
}

}  // namespace vlaserve
