// The manifest of a pack: canonical lines that name everything its bytes depend on, and nothing
// else (no path, no layer name, no machine). Its SHA-256 is the pack's key.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "quant/config/quant_config.h"
#include "quant/pack/packed_layer.h"

namespace vlaserve {

// Raise it with every change of a formula, a default inside of the packer or the layout: packs of
// another version can then never match.
inline constexpr int kPackerVersion = 2;

struct PackInputs {
  std::string weight_sha256;  // of the source tensor's bytes (digests.json)
  std::string weight_dtype;   // "BF16"
  int64_t out_features = 0;
  int64_t in_features = 0;
  LayerSettings settings;  // resolved: what one layer gets
  PackArithmetic arithmetic = PackArithmetic::kInteger;
  std::string smooth_sha256;       // of the [K] float32 values; empty: none
  std::string calibration_sha256;  // of this layer's calibration data used; empty: none
  std::string npz_sha256;          // of an imported openpi_duquant pack; empty: none
  CompatBugs compat_bugs;
};

// Only what influences the pack enters: activation bits and modes, for instance, do not, unless a
// transform depends on them.
std::string Manifest(const PackInputs& inputs);

}  // namespace vlaserve
