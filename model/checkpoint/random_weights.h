// Random weights for a synthetic checkpoint: reproducible on any machine, fast enough for billions
// of elements, and scaled so that a network of them computes with numbers of order one.
//
// Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "model/checkpoint/checkpoint.h"
#include "model/io/dtype.h"

namespace vlaserve {

// Element i of the stream of `key`: SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom
// number generators", OOPSLA 2014) as a function of its counter.
uint64_t SplitMix64(uint64_t key, uint64_t i);

// The stream of one tensor: depends on seed and name only, not on the order of tensors.
uint64_t WeightStream(uint64_t seed, std::string_view tensor);

// Where the values of a tensor lie: mean + std · z, with z of mean 0 and variance 1. z is the
// scaled sum of four uniform 16-bit numbers (Irwin–Hall): close to normal, |z| < 3.5, and exact
// integer arithmetic up to the last two roundings.
struct WeightDistribution {
  double mean = 0;
  double std = 0;
  // Mean of the last third of the elements: the gates of an adaptive norm's bias.
  double last_third_mean = 0;
};

// The distribution that keeps activations of order one and lets all inputs matter: linears divide
// by √fan-in; norms are near the identity; biases are small.
WeightDistribution DistributionOf(const ExpectedTensor& tensor);

// Writes elements [begin, begin + count) of a tensor of `numel` elements to `out`, which holds
// count · DTypeSize(dtype) bytes. Precondition: dtype is kF32 or kBF16.
void FillWeights(const WeightDistribution& distribution, uint64_t stream, uint64_t numel,
                 uint64_t begin, DType dtype, std::span<std::byte> out);

}  // namespace vlaserve
