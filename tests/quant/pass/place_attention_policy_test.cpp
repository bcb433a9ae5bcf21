// Our attention in whole policies.
#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "quant/pass/place_attention.h"
#include "tests/model/policy/exported.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"

namespace vlaserve {
namespace {

std::vector<double> Actions(std::unique_ptr<Archive> archive, ComputeDtype dtype) {
  PolicyOptions options;
  options.compute_dtype = dtype;
  auto policy = TorchPolicy::Create(std::move(archive), options);
  INFO(policy.status().message());
  REQUIRE(policy.ok());
  auto chunk = (*policy)->Infer(TestObservation((*policy)->settings()), {.seed = 7}, {});
  INFO(chunk.status().message());
  REQUIRE(chunk.ok());
  return chunk->actions;
}

}  // namespace

TEST_CASE("our attention takes every place of the golden policies and acts as LibTorch's") {
  size_t cases = 0;
  for (const std::string& folder : GoldenModelFolders()) {
    const auto exported = ExportGolden(folder, SettingsFor(folder));
    for (const ComputeDtype dtype : {ComputeDtype::kFloat32, ComputeDtype::kBfloat16}) {
      INFO(folder << ", type " << static_cast<int>(dtype));
      std::unique_ptr<Archive> archive = exported->Open();
      const Result<AttentionPlaces> places = PlaceAttention(*archive);
      INFO(places.status().message());
      REQUIRE(places.ok());
      CHECK(places->possible > 0);
      CHECK(places->placed == places->possible);
      const std::vector<double> ours = Actions(std::move(archive), dtype);
      const std::vector<double> expected = Actions(exported->Open(), dtype);
      double largest = 0;
      for (const double action : expected) largest = std::max(largest, std::abs(action));
      CHECK(MaxAbsDiff(ours, expected) < (dtype == ComputeDtype::kFloat32 ? 1e-4 : 5e-2) * largest);
      ++cases;
    }
  }
  CHECK(cases >= 4);
}

}  // namespace vlaserve
