#include "quant/pack/manifest.h"

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "model/io/hash.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

PackInputs Inputs() {
  PackInputs inputs;
  inputs.weight_sha256 = std::string(64, 'a');
  inputs.weight_dtype = "BF16";
  inputs.out_features = 2048;
  inputs.in_features = 1024;
  return inputs;
}

// If this fails, every pack cache in the world is built anew: intended changes raise
// kPackerVersion.
TEST_CASE("Manifest: the key of given settings never changes") {
  const std::string manifest = Manifest(Inputs());
  CHECK(manifest ==
        "format 2\n"
        "packer 2\n"
        "layout panels_32\n"
        "source.sha256 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
        "source.dtype BF16\n"
        "source.shape 2048 1024\n"
        "arithmetic integer\n"
        "weight.bits 4\n"
        "weight.group 128\n"
        "weight.symmetric true\n"
        "weight.rounding clip_search\n"
        "transform.rotate_in hadamard\n"
        "transform.block 64\n");
  CHECK(Sha256Hex(manifest) == "5ed2e564b49869779d754ef9a19916baf288d5ff5b3a13bff0aac6e8eea65c92");
}

TEST_CASE("Manifest: symmetric integer codes lie in panels, all else in rows") {
  const auto has = [](const PackInputs& inputs, const std::string& line) {
    return Manifest(inputs).find("\n" + line + "\n") != std::string::npos;
  };
  PackInputs inputs = Inputs();
  for (const int64_t bits : {2, 4, 8}) {
    inputs.settings.weight.bits = bits;
    CHECK(has(inputs, "layout panels_32"));
  }
  inputs.settings.weight.symmetric = false;
  CHECK(has(inputs, "layout rows_nibble_low_first"));
  inputs = Inputs();
  for (const PackArithmetic arithmetic :
       {PackArithmetic::kLegacyF32, PackArithmetic::kLegacyBf16, PackArithmetic::kNone}) {
    inputs.arithmetic = arithmetic;
    CHECK(has(inputs, "layout rows_nibble_low_first"));
  }
}

using Change = std::function<void(PackInputs&)>;

TEST_CASE("Manifest: everything that a pack depends on changes it") {
  const std::vector<Change> changes = {
      [](PackInputs& in) { in.weight_sha256[0] = 'b'; },
      [](PackInputs& in) { in.weight_dtype = "F32"; },
      [](PackInputs& in) { std::swap(in.out_features, in.in_features); },
      [](PackInputs& in) { in.arithmetic = PackArithmetic::kLegacyF32; },
      [](PackInputs& in) { in.arithmetic = PackArithmetic::kLegacyBf16; },
      [](PackInputs& in) { in.arithmetic = PackArithmetic::kNone; },
      [](PackInputs& in) { in.settings.weight.bits = 8; },
      [](PackInputs& in) { in.settings.weight.bits = 0; },
      [](PackInputs& in) { in.settings.weight.group = 0; },
      // One scale per row as well, but another order of roundings.
      [](PackInputs& in) { in.settings.weight.group = 1024; },
      [](PackInputs& in) { in.settings.weight.symmetric = false; },
      [](PackInputs& in) { in.settings.weight.rounding = WeightRounding::kRtn; },
      [](PackInputs& in) { in.smooth_sha256 = std::string(64, 'c'); },
      [](PackInputs& in) { in.settings.transform.permute = Permute::kWeightZigzag; },
      [](PackInputs& in) { in.settings.transform.rotate_in = RotateIn::kOff; },
      [](PackInputs& in) { in.settings.transform.rotate_in = RotateIn::kWeightSvd; },
      [](PackInputs& in) { in.settings.transform.block = 128; },
      [](PackInputs& in) { in.settings.transform.rotate_out = RotateOut::kRestore; },
      [](PackInputs& in) {
        in.settings.transform.rotate_out = RotateOut::kRestore;
        in.settings.transform.block_out = 16;
      },
      [](PackInputs& in) { in.calibration_sha256 = std::string(64, 'd'); },
      [](PackInputs& in) { in.npz_sha256 = std::string(64, 'e'); },
      [](PackInputs& in) { in.compat_bugs.row_rot_none = true; },
      [](PackInputs& in) { in.compat_bugs.sq_inverted = true; },
      [](PackInputs& in) { in.compat_bugs.inplace_weight = true; },
      [](PackInputs& in) { in.compat_bugs.wbits32_scale1 = true; },
  };
  std::set<std::string> manifests = {Manifest(Inputs())};
  for (const Change& change : changes) {
    PackInputs inputs = Inputs();
    change(inputs);
    INFO(Manifest(inputs));
    CHECK(manifests.insert(Manifest(inputs)).second);
  }
}

TEST_CASE("Manifest: what a pack does not depend on leaves its key alone") {
  const std::vector<Change> changes = {
      [](PackInputs& in) { in.settings.activation.bits = 4; },
      [](PackInputs& in) { in.settings.activation.mode = ActivationMode::kDynamicToken; },
      [](PackInputs& in) { in.settings.activation.group = 32; },
      [](PackInputs& in) { in.settings.activation.percentile = 50; },
      [](PackInputs& in) { in.settings.activation.calib_batches = 1; },
      [](PackInputs& in) { in.settings.transform.block_out = 16; },  // no rows are rotated
      [](PackInputs& in) { in.compat_bugs.first_batch_calib = true; },
  };
  for (const Change& change : changes) {
    PackInputs inputs = Inputs();
    change(inputs);
    CHECK(Manifest(inputs) == Manifest(Inputs()));
  }
}

TEST_CASE("Manifest: settings without effect do not separate packs") {
  PackInputs off = Inputs();
  off.settings.transform.rotate_in = RotateIn::kOff;
  PackInputs other = off;
  other.settings.transform.block = 256;
  CHECK(Manifest(off) == Manifest(other));

  PackInputs legacy = Inputs();
  legacy.arithmetic = PackArithmetic::kLegacyF32;
  PackInputs grouped = legacy;
  grouped.settings.weight.group = 32;  // one scale per row in any case
  CHECK(Manifest(legacy) == Manifest(grouped));

  PackInputs unquantized = Inputs();
  unquantized.settings.weight.bits = 0;
  PackInputs rounded = unquantized;
  rounded.settings.weight.rounding = WeightRounding::kGrid5;
  CHECK(Manifest(unquantized) == Manifest(rounded));
}

}  // namespace
}  // namespace vlaserve
