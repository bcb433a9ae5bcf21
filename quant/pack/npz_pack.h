// openpi_duquant's pack files (`{PACKDIR}/{name}.npz`), read. Format and traps: README of the
// quantizer's golden data, "Pack file". Free of LibTorch.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/io/file_system.h"
#include "model/io/status.h"

namespace vlaserve {

struct NpzPack {
  int64_t in_features = 0;
  int64_t out_features = 0;
  int64_t block = 0;                          // meta's block_size
  int64_t block_out = 0;                      // meta's block_out_size
  bool permute = false;                       // meta's enable_permute
  std::vector<float> weight_scale;            // [N]; not used at run time
  std::vector<int32_t> permutation;           // [K]; empty if there is none
  std::vector<std::vector<float>> rotations;  // row-major [B, B]; the last may be smaller
  std::vector<std::vector<float>> output_rotations;
  std::string sha256;  // of the file
};

// The file name of a layer's pack: every character outside [A-Za-z0-9_.-] becomes `_`, then ".."
// becomes "." once; ".npz" is added.
std::string NpzFileName(std::string_view layer_name);

// Errors (kUnreadable) name file, entry and what was expected: anything but a stored zip of the
// known npy entries, sizes that contradict each other, a permutation that is none.
Result<NpzPack> ReadNpzPack(FileSystem& files, const std::string& path);

}  // namespace vlaserve
