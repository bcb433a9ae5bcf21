#include "model/checkpoint/random_weights.h"

#include <cmath>
#include <cstring>
#include <initializer_list>

namespace vlaserve {
namespace {

uint64_t Mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

// Of a sum of four integers that are uniform in 0 … 65535.
constexpr int32_t kSumMean = 2 * 65535;
constexpr double kSumVariance = 4 * (4294967296.0 - 1) / 12;

bool EndsWithAny(std::string_view name, std::initializer_list<std::string_view> ends) {
  for (const std::string_view end : ends) {
    if (name.ends_with(end)) return true;
  }
  return false;
}

// Factor on 1 / √fan-in.
double Gain(std::string_view name) {
  // Attention logits of standard deviation 2, in the action expert 4, and values that outweigh the
  // averaging over keys: otherwise single patches, prompt tokens and the state would hardly matter.
  if (EndsWithAny(name, {"q_proj.weight", "k_proj.weight"})) {
    return name.find(".gemma_expert.") != std::string_view::npos ? 2.0 : 1.4;
  }
  if (EndsWithAny(name, {"v_proj.weight", "o_proj.weight"})) return 1.4;
  if (name == "state_proj.weight") return 2.0;
  // Pixels have a root mean square of about one half.
  if (name.ends_with("patch_embedding.weight")) return 2.0;
  // Its input has passed SiLU, which leaves 0.6 of a unit.
  if (name.ends_with("time_mlp_out.weight")) return 1.6;
  // A velocity somewhat larger than the noise that it moves.
  if (name.ends_with("action_out_proj.weight")) return 1.2;
  // Scale, shift and gate of an adaptive norm vary with time around the identity.
  if (name.ends_with("norm.dense.weight")) return 0.3;
  return 1.0;
}

template <typename Stored, typename Convert>
void Fill(const WeightDistribution& distribution, uint64_t stream, uint64_t numel, uint64_t begin,
          Convert convert, std::span<std::byte> out) {
  const float scale = static_cast<float>(distribution.std / std::sqrt(kSumVariance));
  const float mean = static_cast<float>(distribution.mean);
  const float last_third_mean = static_cast<float>(distribution.last_third_mean);
  const uint64_t last_third = numel - numel / 3;
  const size_t count = out.size() / sizeof(Stored);
  for (size_t k = 0; k < count; ++k) {
    const uint64_t i = begin + k;
    const uint64_t bits = SplitMix64(stream, i);
    const uint64_t sum =
        (bits & 0xFFFFu) + (bits >> 16 & 0xFFFFu) + (bits >> 32 & 0xFFFFu) + (bits >> 48);
    const float z = static_cast<float>(static_cast<int32_t>(sum) - kSumMean);
    const Stored stored = convert((i < last_third ? mean : last_third_mean) + scale * z);
    std::memcpy(&out[k * sizeof(Stored)], &stored, sizeof(Stored));
  }
}

}  // namespace

uint64_t SplitMix64(uint64_t key, uint64_t i) { return Mix(key + (i + 1) * 0x9E3779B97F4A7C15u); }

uint64_t WeightStream(uint64_t seed, std::string_view tensor) {
  // FNV-1a of the name.
  uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : tensor) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return Mix(Mix(seed) ^ hash);
}

WeightDistribution DistributionOf(const ExpectedTensor& tensor) {
  const std::string_view name = tensor.name;
  if (name.ends_with("norm.dense.bias")) return {0, 0.1, 1};
  if (name.ends_with(".bias")) return {0, 0.05, 0};
  if (tensor.shape.size() == 1) {
    // SigLIP's layer norms multiply by w, Gemma's norms by 1 + w.
    const bool multiplies_by_weight =
        EndsWithAny(name, {"layer_norm1.weight", "layer_norm2.weight", "post_layernorm.weight"});
    const double mean = multiplies_by_weight ? 1.0 : 0.0;
    return {mean, 0.2, mean};
  }
  if (name.ends_with("position_embedding.weight")) return {0, 0.5, 0};
  double fan_in = 1;
  for (size_t i = 1; i < tensor.shape.size(); ++i) fan_in *= static_cast<double>(tensor.shape[i]);
  return {0, Gain(name) / std::sqrt(fan_in), 0};
}

void FillWeights(const WeightDistribution& distribution, uint64_t stream, uint64_t numel,
                 uint64_t begin, DType dtype, std::span<std::byte> out) {
  if (dtype == DType::kBF16) {
    Fill<uint16_t>(distribution, stream, numel, begin, FloatToBf16, out);
  } else {
    Fill<float>(
        distribution, stream, numel, begin, [](float value) { return value; }, out);
  }
}

}  // namespace vlaserve
