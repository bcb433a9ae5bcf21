// The transforms of one layer's input as its settings ask for them. Free of LibTorch.
//
// Errors (kInvalidArgument) name the layer and the option: calibration data that is missing or of
// another width, a block that does not fit.
//
// Thread-safety: pure functions on the calling thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/io/status.h"
#include "quant/pack/packer.h"

namespace vlaserve {

// settings.transform.permute for `weight` [N, K]; empty for kOff. kActSnake looks at the
// calibration's max|x|, smoothed as x will be.
Result<std::vector<int32_t>> BuildPermutation(const PackRequest& request,
                                              std::span<const float> weight);

// The dense matrices of settings.transform.rotate_in, as PackContents::rotations has them, for the
// columns of `weight` [N, K] in the order of `permutation` (empty: as stored); empty for kOff and
// kHadamard. kDuquantGreedy looks at the calibration's samples, smoothed and permuted as x will be.
Result<std::vector<float>> BuildRotations(const PackRequest& request, std::span<const float> weight,
                                          std::span<const int32_t> permutation);

// Both of them, and the rotations of the rows if `rotate_rows`, into `pack`: what an imported pack
// would bring. `weight` is what the transforms are computed from, not always what they are applied
// to.
Status ComputeTransforms(const PackRequest& request, std::span<const float> weight,
                         bool rotate_rows, PackContents& pack);

}  // namespace vlaserve
