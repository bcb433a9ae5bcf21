#include <algorithm>
#include <string>

#include "model/checkpoint/checkpoint.h"
#include "model/io/hash.h"
#include "tests/model/checkpoint/full_size_geometry.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

std::string Digest(const std::vector<LinearInfo>& linears) {
  std::string lines;
  for (const LinearInfo& linear : linears) {
    lines += linear.name + " " + std::to_string(linear.in_features) + " " +
             std::to_string(linear.out_features) + " " + (linear.bias ? "1" : "0") + "\n";
  }
  return Sha256Hex(lines);
}

std::string Digest(const std::vector<ExpectedTensor>& tensors) {
  std::string lines;
  for (const ExpectedTensor& tensor : tensors) {
    lines += tensor.name;
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
      lines += i == 0 ? " " : "x";
      lines += std::to_string(tensor.shape[i]);
    }
    lines += "\n";
  }
  return Sha256Hex(lines);
}

int64_t Elements(const std::vector<ExpectedTensor>& tensors) {
  int64_t sum = 0;
  for (const ExpectedTensor& tensor : tensors) {
    int64_t product = 1;
    for (int64_t dim : tensor.shape) product *= dim;
    sum += product;
  }
  return sum;
}

}  // namespace

// The digests are of the lists that openpi's own PI0Pytorch gives (named_modules() and
// named_parameters() of the released sizes).
TEST_CASE("the linears of full-size models are the reference's, in its order") {
  const auto pi0 = ReferenceLinears(FullSizeGeometry(PolicyType::kPi0));
  CHECK(pi0.size() == 422);
  CHECK(Digest(pi0) == "3f8e52658bb55d2532fd206e41dd39dac7709559b46a4cc02d48bd24e9e87f3f");
  const auto pi05 = ReferenceLinears(FullSizeGeometry(PolicyType::kPi05));
  CHECK(pi05.size() == 458);
  CHECK(Digest(pi05) == "e4d1dc7c60a42a83b79f3544c871efa0ad7da068564bc64402a039a7076e9761");
}

TEST_CASE("exactly both lm_heads are not live") {
  for (const PolicyType type : {PolicyType::kPi0, PolicyType::kPi05}) {
    std::vector<std::string> dead;
    for (const LinearInfo& linear : ReferenceLinears(FullSizeGeometry(type))) {
      if (!linear.live) dead.push_back(linear.name);
    }
    CHECK(dead == std::vector<std::string>{"paligemma_with_expert.paligemma.lm_head",
                                           "paligemma_with_expert.gemma_expert.lm_head"});
  }
}

TEST_CASE("the tensors of full-size models are the reference's, in its order") {
  const auto pi0 = ExpectedTensors(FullSizeGeometry(PolicyType::kPi0));
  CHECK(pi0.size() == 776);
  CHECK(Elements(pi0) == 3'238'048'528);
  CHECK(Digest(pi0) == "d40d2fb7534bd227daad9384cbfc69b5d9a94e838040920265e646b086c51ae0");
  const auto pi05 = ExpectedTensors(FullSizeGeometry(PolicyType::kPi05));
  CHECK(pi05.size() == 811);
  CHECK(Elements(pi05) == 3'353'433'872);
  CHECK(Digest(pi05) == "5c3a3121752f7edf9ba864bd8eb2c27fda9825f7e69502b9403fec7a1d2c9021");
}

TEST_CASE("every live linear has its weight among the tensors, with the shape [out, in]") {
  for (const PolicyType type : {PolicyType::kPi0, PolicyType::kPi05}) {
    Geometry geometry = FullSizeGeometry(type);
    geometry.kv_heads = 2;  // not in released models; sizes must follow all the same
    const auto tensors = ExpectedTensors(geometry);
    for (const LinearInfo& linear : ReferenceLinears(geometry)) {
      if (!linear.live) continue;
      CAPTURE(linear.name);
      const auto named = [&tensors](const std::string& name) {
        return std::find_if(tensors.begin(), tensors.end(),
                            [&name](const ExpectedTensor& t) { return t.name == name; });
      };
      const auto weight = named(linear.name + ".weight");
      REQUIRE(weight != tensors.end());
      CHECK(weight->shape == std::vector<int64_t>{linear.out_features, linear.in_features});
      CHECK((named(linear.name + ".bias") != tensors.end()) == linear.bias);
    }
  }
}

}  // namespace vlaserve
