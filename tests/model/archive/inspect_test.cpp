#include "model/archive/inspect.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "tests/model/archive/policy_archives.h"
#include "tests/support/catch.h"
#include "tests/support/matchers.h"

namespace vlaserve {
namespace {

TEST_CASE("inspect: the JSON report adds up") {
  const auto archive = Archive::Open(PosixFileSystem(), TinyArchive(PolicyType::kPi0));
  REQUIRE(archive.ok());
  const nlohmann::ordered_json json = InspectJson(**archive);
  CHECK(json.at("archive_sha256") == (*archive)->archive_sha256());
  CHECK(json.at("file_bytes") == (*archive)->file_bytes());
  CHECK(json.at("policy").at("type") == "pi0");
  CHECK(json.at("geometry").at("action_horizon") == (*archive)->geometry().horizon);
  CHECK(json.at("norm_stats").at("norm_stats").contains("state"));
  CHECK(json.at("export").contains("vlaserve_version"));
  CHECK(json.at("methods").size() == 9);

  uint64_t bytes = 0;
  for (const auto& [name, digest] : (*archive)->digests()) bytes += digest.bytes;
  CHECK(json.at("tensors").at("bytes") == bytes);
  CHECK(json.at("tensors").at("count") == (*archive)->digests().size());
  CHECK(json.at("tensors").at("by_dtype").at("F32").at("bytes") == bytes);

  const auto& linears = json.at("linears");
  REQUIRE(linears.size() == (*archive)->linears().size());
  size_t dead = 0;
  for (size_t i = 0; i < linears.size(); ++i) {
    const LinearInfo& linear = (*archive)->linears()[i];
    CHECK(linears[i].at("name") == linear.name);
    if (!linear.live) {
      ++dead;
      CHECK(linears[i].at("dtype").is_null());
      CHECK(linears[i].at("bytes") == 0);
      continue;
    }
    const int64_t elements =
        linear.in_features * linear.out_features + (linear.bias ? linear.out_features : 0);
    CHECK(linears[i].at("dtype") == "F32");
    CHECK(linears[i].at("bytes") == elements * 4);
  }
  CHECK(dead == 2);
}

TEST_CASE("inspect: the text names policy, cameras, methods and every linear") {
  const auto archive = Archive::Open(PosixFileSystem(), TinyArchive(PolicyType::kPi05));
  REQUIRE(archive.ok());
  const std::string text = InspectText(**archive);
  CHECK_THAT(text, ContainsText((*archive)->settings().name) && ContainsText("(pi05)") &&
                       ContainsText((*archive)->archive_sha256()) &&
                       ContainsText("denoise_step(x: Tensor") && ContainsText("base_0_rgb"));
  for (const LinearInfo& linear : (*archive)->linears()) {
    CHECK_THAT(text, ContainsText("\n" + linear.name + " "));
  }
  CHECK(text.back() == '\n');
}

}  // namespace
}  // namespace vlaserve
