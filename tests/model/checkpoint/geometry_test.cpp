#include "model/checkpoint/geometry.h"

#include <nlohmann/json.hpp>

#include "model/checkpoint/geometry_json.h"
#include "model/io/json.h"
#include "tests/model/checkpoint/full_size_geometry.h"
#include "tests/model/checkpoint/golden_checkpoints.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"

namespace vlaserve {
namespace {

using nlohmann::json;

// Applies a JSON merge patch to the full-size geometry, then expects a failure that contains
// `text` and names the file and `pointer`.
void ExpectError(const std::string& patch, const std::string& pointer, const std::string& text) {
  CAPTURE(patch);
  json value = json::parse(GeometryToJson(FullSizeGeometry(PolicyType::kPi0)));
  value.merge_patch(json::parse(patch));
  const Result<Geometry> geometry = ParseGeometry(value.dump(), "geometry.json");
  REQUIRE_FALSE(geometry.ok());
  CAPTURE(geometry.status().message());
  CHECK(geometry.status().code() == StatusCode::kUnreadable);
  CHECK(geometry.status().message().find("geometry.json: " + pointer + ": ") == 0);
  CHECK(geometry.status().message().find(text) != std::string::npos);
}

}  // namespace

TEST_CASE("the names of the policy types are those of every format") {
  CHECK(PolicyTypeName(PolicyType::kPi0) == "pi0");
  CHECK(PolicyTypeName(PolicyType::kPi05) == "pi05");
}

TEST_CASE("a geometry survives writing and reading") {
  Geometry geometry = FullSizeGeometry(PolicyType::kPi05);
  geometry.vision_layer_norm_eps = 1e-5;
  geometry.rms_norm_eps = 1.25e-6;
  geometry.rope_theta = 500000;
  geometry.min_period = 0.1;
  geometry.max_period = 7;
  geometry.kv_heads = 2;
  const Result<Geometry> again = ParseGeometry(GeometryToJson(geometry), "again");
  INFO(again.status().message());
  REQUIRE(again.ok());
  CHECK(*again == geometry);
}

TEST_CASE("the geometry files of golden folders are read and written as they are") {
  size_t cases = 0;
  std::vector<std::string> folders = GoldenCheckpoints(false);
  for (const std::string& folder : GoldenCheckpoints(true)) folders.push_back(folder);
  for (const std::string& folder : folders) {
    const std::string name = folder + "/geometry.json";
    CAPTURE(name);
    const json expected = ReadGoldenJson(name);
    const Result<Geometry> geometry = ParseGeometry(expected.dump(), name);
    INFO(geometry.status().message());
    REQUIRE(geometry.ok());
    CHECK(json::parse(GeometryToJson(*geometry)) == expected);
    ++cases;
  }
  ReportGoldenCases("geometry files", cases);
}

TEST_CASE("sizes that are missing or contradict each other are refused by key") {
  ExpectError(R"({"vocab_size": null})", "/vocab_size", "no such key");
  ExpectError(R"({"model_type": "pi0_fast"})", "/model_type", "found \"pi0_fast\"");
  ExpectError(R"({"action_horizon": 0})", "/action_horizon", "from 1 to 4096");
  ExpectError(R"({"action_horizon": 9223372036854775808})", "/action_horizon",
              "922337203685477580");
  // What no tensor bounds must not cost memory before or at a request.
  ExpectError(R"({"action_horizon": 4097})", "/action_horizon", "from 1 to 4096");
  ExpectError(R"({"max_token_len": 2147483648})", "/max_token_len", "from 1 to 4096");
  ExpectError(R"({"action_dim": 4097})", "/action_dim", "from 1 to 4096");
  ExpectError(R"({"image_size": 4097})", "/image_size", "from 1 to 4096");
  ExpectError(R"({"vision": {"layers": 2147483648}})", "/vision/layers", "from 1 to 4096");
  ExpectError(R"({"llm": {"depth": 4097}})", "/llm/depth", "from 1 to 4096");
  ExpectError(R"({"vision": null})", "/vision", "no such key");
  ExpectError(R"({"patch_size": 225})", "/patch_size", "at most image_size 224");
  ExpectError(R"({"patch_size": 16})", "/tokens_per_image", "expected 196");
  ExpectError(R"({"vision": {"heads": 7}})", "/vision/heads", "divisor of hidden 1152");
  ExpectError(R"({"vision": {"head_dim": 64}})", "/vision/head_dim", "expected 72");
  ExpectError(R"({"vision": {"layer_norm_eps": 0}})", "/vision/layer_norm_eps", "greater than 0");
  ExpectError(R"({"llm": {"kv_heads": 3}})", "/llm/kv_heads", "divisor of heads 8");
  ExpectError(R"({"llm": {"head_dim": 257}})", "/llm/head_dim", "even");
  ExpectError(R"({"expert": {"width": 1023}})", "/expert/width", "even");
  ExpectError(R"({"expert": {"depth": 17}})", "/expert/depth", "expected 18");
  ExpectError(R"({"time_embedding": {"dim": 512}})", "/time_embedding/dim", "expected 1024");
}

}  // namespace vlaserve
