#include "model/checkpoint/random_weights.h"

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "model/io/hash.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

std::vector<float> Floats(const WeightDistribution& distribution, uint64_t stream, uint64_t numel) {
  std::vector<float> values(numel);
  FillWeights(distribution, stream, numel, 0, DType::kF32,
              std::as_writable_bytes(std::span(values)));
  return values;
}

TEST_CASE("SplitMix64: published outputs of seed 1234567") {
  const uint64_t expected[] = {6457827717110365317u, 3203168211198807973u, 9817491932198370423u,
                               4593380528125082431u, 16408922859458223821u};
  for (uint64_t i = 0; i < 5; ++i) CHECK(SplitMix64(1234567, i) == expected[i]);
}

TEST_CASE("WeightStream: differs by seed and by name") {
  CHECK(WeightStream(0, "a") == WeightStream(0, "a"));
  CHECK(WeightStream(0, "a") != WeightStream(1, "a"));
  CHECK(WeightStream(0, "a") != WeightStream(0, "b"));
  CHECK(WeightStream(0, "ab") != WeightStream(0, "ba"));
}

TEST_CASE("FillWeights: has the mean and standard deviation that were asked for") {
  constexpr uint64_t kCount = 300000;
  const std::vector<float> values = Floats({3, 2, 3}, 1, kCount);
  double sum = 0, squares = 0, largest = 0;
  for (const float value : values) {
    const double z = (double{value} - 3) / 2;
    sum += z;
    squares += z * z;
    largest = std::max(largest, std::abs(z));
  }
  CHECK(sum / kCount == Approx(0).margin(0.01));
  CHECK(squares / kCount == Approx(1).margin(0.01));
  CHECK(largest > 3);
  CHECK(largest < 3.5);
}

TEST_CASE("FillWeights: the last third has a mean of its own") {
  const std::vector<float> values = Floats({0, 0, 1}, 1, 9);
  CHECK(values == std::vector<float>{0, 0, 0, 0, 0, 0, 1, 1, 1});
}

TEST_CASE("FillWeights: portions give the elements of the whole") {
  constexpr uint64_t kCount = 100;
  const WeightDistribution distribution{0.5, 1, 2};
  const std::vector<float> whole = Floats(distribution, 7, kCount);
  for (uint64_t begin = 0; begin < kCount; begin += 30) {
    std::vector<float> part(std::min<uint64_t>(30, kCount - begin));
    FillWeights(distribution, 7, kCount, begin, DType::kF32,
                std::as_writable_bytes(std::span(part)));
    for (size_t i = 0; i < part.size(); ++i) REQUIRE(part[i] == whole[begin + i]);
  }
}

TEST_CASE("FillWeights: bfloat16 elements are the rounded float32 ones") {
  const std::vector<float> floats = Floats({0, 1, 0}, 7, 1000);
  std::vector<uint16_t> halves(1000);
  FillWeights({0, 1, 0}, 7, 1000, 0, DType::kBF16, std::as_writable_bytes(std::span(halves)));
  for (size_t i = 0; i < floats.size(); ++i) REQUIRE(halves[i] == FloatToBf16(floats[i]));
}

TEST_CASE("FillWeights: the same bytes on every machine") {
  const std::vector<float> values = Floats({0.25, 0.3, 0.5}, WeightStream(42, "weight"), 10000);
  CHECK(Sha256Hex(std::as_bytes(std::span(values))) ==
        "0cfc79818fe2f37c1a7cc94960d889747344161a90a86adb970a7cff318faa0f");
}

TEST_CASE("DistributionOf: linears by fan-in, norms around the identity, small biases") {
  CHECK(DistributionOf({"x.mlp.fc1.weight", {5, 400}}).std == Approx(0.05));
  CHECK(DistributionOf({"x.patch_embedding.weight", {5, 3, 14, 14}}).std ==
        Approx(2 / std::sqrt(588.0)));
  CHECK(DistributionOf({"x.self_attn.q_proj.weight", {5, 4}}).std == Approx(0.7));
  CHECK(DistributionOf({"x.mlp.fc1.bias", {5}}).mean == 0);
  CHECK(DistributionOf({"x.mlp.fc1.bias", {5}}).std < 0.1);
  // SigLIP multiplies by the weight, Gemma by one plus the weight.
  CHECK(DistributionOf({"x.layer_norm1.weight", {5}}).mean == 1);
  CHECK(DistributionOf({"x.post_layernorm.weight", {5}}).mean == 1);
  CHECK(DistributionOf({"x.input_layernorm.weight", {5}}).mean == 0);
  CHECK(DistributionOf({"x.model.norm.weight", {5}}).mean == 0);
  // The gate is the last third of an adaptive norm; zero would switch its block off.
  CHECK(DistributionOf({"x.input_layernorm.dense.bias", {15}}).mean == 0);
  CHECK(DistributionOf({"x.input_layernorm.dense.bias", {15}}).last_third_mean == 1);
}

}  // namespace
}  // namespace vlaserve
