// Bytes of a pack, by hand.
#include "quant/select/layer_bytes.h"

#include "tests/support/catch.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

namespace {

SelectedLayer Layer(int64_t out, int64_t in) {
  SelectedLayer layer;
  layer.linear = {"l", in, out, false, true};
  layer.settings.transform.rotate_in = RotateIn::kOff;
  layer.settings.transform.block = 16;
  layer.settings.transform.block_out = 16;
  return layer;
}

}  // namespace

TEST_CASE("4-bit weights take half a byte each and two bytes per group") {
  const SelectedLayer layer = Layer(2048, 16384);
  const LayerBytes bytes = BytesOf(layer, Engine::kInt);
  CHECK(bytes.bfloat16 == 2048 * 16384 * 2);
  CHECK(bytes.packed == 2048 * (16384 / 2 + 16384 / 128 * 2));
}

TEST_CASE("panels are filled up: rows to a multiple of 32, columns to one of 8") {
  SelectedLayer layer = Layer(35, 129);
  CHECK(BytesOf(layer, Engine::kInt).packed == 64 * (136 / 2 + 2 * 2));
  CHECK(BytesOf(layer, Engine::kFake).packed == 64 * (136 / 2 + 2 * 2));
  layer.settings.weight.group = 0;
  CHECK(BytesOf(layer, Engine::kInt).packed == 64 * (136 / 2 + 2));
  layer.settings.weight.bits = 6;
  CHECK(BytesOf(layer, Engine::kInt).packed == 64 * (136 + 2));
}

TEST_CASE("odd columns, short groups and zero points of asymmetric weights are counted") {
  SelectedLayer layer = Layer(3, 129);
  layer.settings.weight.symmetric = false;
  CHECK(BytesOf(layer, Engine::kFake).packed == 3 * (65 + 2 * (2 + 1)));
  layer.settings.weight.group = 0;
  layer.settings.weight.bits = 6;
  CHECK(BytesOf(layer, Engine::kFake).packed == 3 * (129 + 2 + 1));
}

TEST_CASE("openpi_duquant's packs have float32 scales per row") {
  const SelectedLayer layer = Layer(31, 257);
  CHECK(BytesOf(layer, Engine::kLegacyExact).packed == 31 * (129 + 4));
}

TEST_CASE("transforms are counted, the shorter last block too") {
  SelectedLayer layer = Layer(40, 50);
  const int64_t weight = BytesOf(layer, Engine::kInt).packed;
  TransformSettings& transform = layer.settings.transform;
  transform.rotate_in = RotateIn::kWeightSvd;
  CHECK(BytesOf(layer, Engine::kInt).packed == weight + (3 * 16 * 16 + 2 * 2) * 4);
  transform.rotate_in = RotateIn::kHadamard;
  CHECK(BytesOf(layer, Engine::kInt).packed == weight);
  transform.rotate_in = RotateIn::kDuquantGreedy;
  CHECK(BytesOf(layer, Engine::kInt).packed == weight + 16 * 16 * 4);
  transform.rotate_in = RotateIn::kOff;
  transform.permute = Permute::kWeightZigzag;
  transform.smooth = SmoothMode::kFile;
  transform.rotate_out = RotateOut::kRestore;
  CHECK(BytesOf(layer, Engine::kInt).packed == weight + 2 * 50 * 4 + (2 * 16 * 16 + 8 * 8) * 4);
}

TEST_CASE("a weight that is not quantized stays") {
  SelectedLayer layer = Layer(16, 16);
  CHECK(BytesOf(layer, Engine::kOff).packed == 16 * 16 * 2);
  CHECK(BytesOf(layer, Engine::kTransformsOnly).packed == 16 * 16 * 2);
  layer.settings.weight.bits = 0;
  CHECK(BytesOf(layer, Engine::kInt).packed == 16 * 16 * 2);
}
