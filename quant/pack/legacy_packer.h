// Packs in openpi_duquant's arithmetic, for the engine `legacy_exact`. Free of LibTorch in this
// header.
#pragma once

#include <string>

#include "model/io/status.h"
#include "quant/pack/packed_layer.h"
#include "quant/pack/packer.h"

namespace vlaserve {

// Formulas: README of the quantizer's golden data, §2.1 to §2.3. request.arithmetic must be
// kLegacyF32 or kLegacyBf16; the weight is rounded to that dtype first, as a model converted to it
// has it.
//
// Transforms are taken from request.npz if there is one, whatever the settings say of block size
// and permutation (NpzOverrideNote says so), else computed: from the weight before smoothing, as
// the reference smooths after it has packed. The weight is always quantized per row by grid5;
// weight.group and weight.rounding are not looked at. Bits 0 keep the transformed weight: its
// storage is raw float32 or bfloat16.
//
// Compat bugs: row_rot_none (rotate_out off: rows are rotated nevertheless and never restored),
// inplace_weight (without permutation: the transforms are applied a second time, which is what the
// reference computes with after it has rebuilt its weight once), wbits32_scale1 (16 and more bits:
// r(w), scale 1; without it such bits are an error), sq_inverted (W / smooth, x · smooth).
//
// Errors: as BuildPack.
Result<PackContents> BuildLegacyPack(const PackRequest& request);

// One line if an imported pack's block sizes or permutation are others than configured, else "".
std::string NpzOverrideNote(const std::string& layer, const TransformSettings& configured,
                            const NpzPack& npz);

}  // namespace vlaserve
