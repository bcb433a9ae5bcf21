// Gated MLPs whose linears give their biases and nothing else, so that a test chooses what goes
// into GELU and what follows: all weights and activations are 0.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/cpu/kernel_table.h"
#include "tests/kernels/guarded_memory.h"

namespace vlaserve {

class GatedBiases {
 public:
  // Arrays of the results and of the biases end at guard pages.
  GatedBiases(int64_t rows, const std::vector<float>& gate, const std::vector<float>& up,
              int64_t block, const kernels::CpuKernels& cpu)
      : cpu_(cpu),
        x_(rows, kDepth, 0, kDepth, cpu.max_rows),
        codes_(Panels(gate) * kernels::PanelCodeBytes(kDepth, 4), Guard::kBehind, 64),
        scales_(Panels(gate) * kernels::kPanelColumns, Guard::kBehind, 64),
        gate_(Features(gate), Guard::kBehind),
        up_(Features(up), Guard::kBehind),
        hidden_(rows * Features(gate), Guard::kBehind),
        largest_(rows * Tiles(gate, block), Guard::kBehind) {
    std::fill_n(x_.view().codes, rows * kernels::PaddedDepth(kDepth), int8_t{0});
    std::fill_n(x_.view().scales, rows, 1.0f);
    std::fill_n(x_.view().sums, rows, 0);
    std::fill_n(codes_.data(), codes_.size(), uint8_t{0x88});
    std::fill_n(scales_.data(), scales_.size(), uint16_t{0});
    std::copy(gate.begin(), gate.end(), gate_.data());
    std::copy(up.begin(), up.end(), up_.data());
    problem.x = x_.view();
    problem.gate = {Features(gate), kDepth, 4, 0, codes_.data(), scales_.data()};
    problem.up = problem.gate;
    problem.gate_bias = gate_.data();
    problem.up_bias = up_.data();
    problem.block = block;
    problem.hidden = hidden_.data();
    problem.largest = largest_.data();
  }

  void Run() {
    cpu_.gated_hidden(problem, 0, static_cast<int64_t>(largest_.size()) / problem.x.rows, 0,
                      problem.x.blocks().count());
  }

  std::vector<float> hidden() const { return {hidden_.data(), hidden_.data() + hidden_.size()}; }
  std::vector<uint32_t> largest() const {
    return {largest_.data(), largest_.data() + largest_.size()};
  }

  kernels::GatedHidden problem;

 private:
  static constexpr int64_t kDepth = 8;

  static int64_t Features(const std::vector<float>& bias) {
    return static_cast<int64_t>(bias.size());
  }
  static int64_t Panels(const std::vector<float>& bias) {
    return kernels::PanelCount(Features(bias));
  }
  static int64_t Tiles(const std::vector<float>& bias, int64_t block) {
    const int64_t columns = kernels::GatedTileColumns(block);
    return (Features(bias) + columns - 1) / columns;
  }

  const kernels::CpuKernels& cpu_;
  kernels::BlockedBuffer x_;
  GuardedArray<uint8_t> codes_;
  GuardedArray<uint16_t> scales_;
  GuardedArray<float> gate_;
  GuardedArray<float> up_;
  GuardedArray<float> hidden_;
  GuardedArray<uint32_t> largest_;
};

}  // namespace vlaserve
