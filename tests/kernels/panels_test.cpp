#include "kernels/panels.h"

#include <algorithm>
#include <vector>

#include "kernels/blocked_activations.h"
#include "kernels/int_gemm.h"
#include "tests/kernels/gemm_data.h"
#include "tests/kernels/random_values.h"
#include "tests/support/catch.h"

namespace vlaserve::kernels {
namespace {

// The byte of weight (n, k) by the header's words, and by how much it is shifted.
struct Place {
  int64_t byte = 0;
  int shift = 0;
};
Place PlaceOf(int64_t n, int64_t k, int64_t in_features, int64_t bits) {
  const int64_t panel = n / 32 * PanelCodeBytes(in_features, bits);
  const int64_t half = n % 32 / 16;
  const int64_t c = n % 16;
  if (bits == 4) return {panel + k / 8 * 128 + half * 64 + 4 * c + k % 4, k % 8 < 4 ? 0 : 4};
  return {panel + k / 4 * 128 + half * 64 + 4 * c + k % 4, 0};
}

TEST_CASE("panels: every code lies where the header says, the rest is a weight of 0") {
  for (const int64_t bits : {4, 8}) {
    for (const int64_t n : {1, 31, 32, 33, 70}) {
      for (const int64_t k : {1, 7, 8, 9, 50}) {
        INFO("N " << n << " K " << k << " bits " << bits);
        const std::vector<int8_t> codes =
            RandomCodes(7, n * k, bits == 4 ? -8 : -128, bits == 4 ? 7 : 127);
        std::vector<uint8_t> panels(At(PanelCount(n) * PanelCodeBytes(k, bits)), 0xA5);
        PackPanels(codes.data(), n, k, bits, panels.data());
        const int mask = bits == 4 ? 0xF : 0xFF;
        for (int64_t row = 0; row < PanelCount(n) * kPanelColumns; ++row) {
          for (int64_t column = 0; column < PaddedDepth(k); ++column) {
            const Place place = PlaceOf(row, column, k, bits);
            const int code = row < n && column < k ? codes[At(row * k + column)] : 0;
            const int stored = panels[At(place.byte)] >> place.shift & mask;
            REQUIRE(stored - (bits == 4 ? 8 : 128) == code);
          }
        }
        std::vector<int8_t> back(codes.size());
        UnpackPanels(panels.data(), n, k, bits, back.data());
        CHECK(back == codes);
        std::vector<int8_t> row(At(k));
        UnpackPanelRow(panels.data(), k, bits, n - 1, row.data());
        CHECK(std::equal(row.begin(), row.end(), codes.end() - k));
      }
    }
  }
}

TEST_CASE("panels: scales by panel and group, 0 beyond N") {
  const int64_t n = 37;
  const int64_t groups = 3;
  std::vector<uint16_t> scales(At(n * groups));
  for (size_t i = 0; i < scales.size(); ++i) scales[i] = static_cast<uint16_t>(i + 1);
  std::vector<uint16_t> panels(At(PanelCount(n) * groups * kPanelColumns), 0xA5A5);
  PackPanelScales(scales.data(), n, groups, panels.data());
  for (int64_t row = 0; row < PanelCount(n) * kPanelColumns; ++row) {
    for (int64_t g = 0; g < groups; ++g) {
      const int expected = row < n ? scales[At(row * groups + g)] : 0;
      REQUIRE(panels[At((row / 32 * groups + g) * 32 + row % 32)] == expected);
    }
  }
  std::vector<uint16_t> back(scales.size());
  UnpackPanelScales(panels.data(), n, groups, back.data());
  CHECK(back == scales);
}

TEST_CASE("row blocks: balanced, together all rows, none above the most") {
  for (const int64_t most : {1, 4, 12, 13}) {
    for (int64_t rows = 0; rows < 60; ++rows) {
      INFO("rows " << rows << " most " << most);
      const RowBlocks blocks(rows, most);
      int64_t next = 0;
      int64_t smallest = most;
      for (int64_t b = 0; b < blocks.count(); ++b) {
        REQUIRE(blocks.begin(b) == next);
        REQUIRE(blocks.size(b) <= most);
        smallest = std::min(smallest, blocks.size(b));
        next += blocks.size(b);
      }
      REQUIRE(next == rows);
      REQUIRE(blocks.count() == (rows + most - 1) / most);
      if (rows > 0) REQUIRE(blocks.size(0) - smallest <= 1);
    }
  }
  const RowBlocks blocks(51, 13);
  CHECK(blocks.size(0) == 13);
  CHECK(blocks.size(3) == 12);
}

TEST_CASE("blocked activations: memory for all parts, aligned; codes come back") {
  LayerShape shape;
  shape.rows = 29;
  shape.in_features = 50;
  const IntActivations x = MakeActivations(shape, Codes::kRandom, 3);
  const BlockedBuffer buffer(29, 50, 32, 32, 12);
  const BlockedActivations& view = buffer.view();
  CHECK(reinterpret_cast<uintptr_t>(view.codes) % 64 == 0);
  std::fill_n(view.codes, 29 * 56, int8_t{1});
  std::fill_n(view.scales, 29 * 2, 2.0f);
  std::fill_n(view.sums, 29 * 2, 3);
  CHECK(std::all_of(view.codes, view.codes + 29 * 56, [](int8_t code) { return code == 1; }));
  CHECK(std::all_of(view.scales, view.scales + 29 * 2, [](float scale) { return scale == 2; }));

  const GuardedActivations blocked(x, 50, 12, Guard::kBehind);
  std::vector<int8_t> codes(x.codes.size());
  UnblockCodes(blocked.view(), codes.data());
  CHECK(codes == x.codes);
}

TEST_CASE("steps: the smaller of the groups, all columns if that is one step") {
  CHECK(StepColumns(2048, 0, 0) == 2048);
  CHECK(StepColumns(2048, 128, 0) == 128);
  CHECK(StepColumns(2048, 0, 64) == 64);
  CHECK(StepColumns(2048, 128, 32) == 32);
  CHECK(StepColumns(100, 128, 0) == 100);
  CHECK(StepColumns(100, 128, 64) == 64);
}

}  // namespace
}  // namespace vlaserve::kernels
