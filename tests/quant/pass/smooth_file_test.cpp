#include "quant/pass/smooth_file.h"

#include "tests/support/catch.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {
namespace {

Result<std::map<std::string, std::vector<float>>> Read(const std::string& content) {
  const TempDir directory;
  return ReadSmoothFile(PosixFileSystem(), directory.Write("smooth.json", content));
}

}  // namespace

TEST_CASE("A smoothing file gives one vector of float32 scales per linear") {
  const auto layers = Read(R"({"alpha": 0.5, "layers": {"a.q_proj": [1, 0.1], "b": []}})");
  REQUIRE(layers.ok());
  CHECK(layers->size() == 2);
  CHECK(layers->at("a.q_proj") == std::vector<float>{1.0F, 0.1F});
  CHECK(layers->at("b").empty());
}

TEST_CASE("A smoothing file that is none is refused with the place") {
  CHECK_THAT(Read("[]").status().message(), ContainsText("smooth.json: layers: expected"));
  CHECK_THAT(Read(R"({"layers": {"a": 3}})").status().message(),
             ContainsText("layers.a: expected"));
  for (const char* bad : {"0", "-1", "\"2\"", "null", "1e-60", "1e60"}) {
    INFO(bad);
    const auto layers = Read(R"({"layers": {"a": [2, )" + std::string(bad) + "]}}");
    REQUIRE(layers.status().code() == StatusCode::kUnreadable);
    CHECK_THAT(layers.status().message(), ContainsText("layers.a[1]: expected"));
  }
  const TempDir directory;
  CHECK(ReadSmoothFile(PosixFileSystem(), directory.File("none.json")).status().code() ==
        StatusCode::kNotFound);
}

}  // namespace vlaserve
