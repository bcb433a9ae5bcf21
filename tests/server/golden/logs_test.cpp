// What openpi_duquant prints, from its environment variables to the lines of a layer's first
// forward and the profile at the end.
#include "server/golden/logs.h"

#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

#include "tests/support/catch.h"
#include "tests/support/golden.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {
namespace {

using Json = nlohmann::json;

TEST_CASE("golden: sessions and profile tables print the reference's lines") {
  const auto summary = CheckLogs(PosixFileSystem(), GoldenPath("quant/logs"));
  INFO(summary.status().message());
  REQUIRE(summary.ok());
  std::string failures;
  for (const GoldenFailure& failure : summary->failures) {
    failures += "\n" + failure.case_id + " " + failure.value + ": " + failure.difference;
  }
  INFO(failures);
  CHECK(summary->failures.empty());
  ReportGoldenCases("quant/logs", static_cast<size_t>(summary->cases));
}

// The profile's title says what OPENPI_DUQUANT_PROFILE_SYNC does, and the last line is wrong.
Json WrongSession() {
  Json events = Json::array();
  for (const char* text :
       {"[DUQUANT] SCOPE filter: ''", "[DUQUANT] Matched Linear layers: 1",
        "[DUQUANT][REPLACED] q_proj: Linear(4->4) -> DuQuantLinear W4 A8 perm=True block_in=16 "
        "block_out=16 row_rot=restore",
        "[DUQUANT] Total layers replaced: 2"}) {
    events.push_back({{"stream", "stdout"}, {"text", text}});
  }
  return {{"id", "wrong"},
          {"env",
           {{"OPENPI_DUQUANT_SCOPE", ""},
            {"OPENPI_DUQUANT_PROFILE", "1"},
            {"OPENPI_DUQUANT_PROFILE_SYNC", "0"}}},
          {"dtype", "f32"},
          {"forwards", 1},
          {"episodes", 0},
          {"events", events}};
}

TEST_CASE("A difference in a session or table is named with found and expected line") {
  const TempDir folder;
  const Json linears = {
      {{"name", "q_proj"}, {"in_features", 4}, {"out_features", 4}, {"bias", false}}};
  const Json table = {
      {"stats", {{{"label", "a"}, {"calls", 1}, {"time_s", 1}, {"elements", 1}, {"bytes", 1}}}},
      {"stdout", {"another title"}}};
  std::ofstream(folder.File("logs.json")) << Json{
      {"model_linears", linears}, {"sessions", {WrongSession()}}, {"profile_format", {table}}};
  const auto summary = CheckLogs(PosixFileSystem(), folder.path());
  INFO(summary.status().message());
  REQUIRE(summary.ok());
  CHECK(summary->cases == 2);
  REQUIRE(summary->failures.size() == 3);
  const std::vector<GoldenFailure>& failures = summary->failures;
  CHECK(failures[0].case_id == "wrong");
  CHECK(failures[0].value == "lines");
  CHECK(failures[0].difference ==
        "[3]: \"[DUQUANT] Total layers replaced: 1\", expected \"[DUQUANT] Total layers replaced: "
        "2\"");
  CHECK(failures[1].value == "lines with forwards");
  CHECK(failures[2].case_id == "profile_format 0");
  CHECK_THAT(failures[2].difference, ContainsText("expected \"another title\""));
}

TEST_CASE("A folder without logs or with logs of another form is an error with its path") {
  const TempDir folder;
  const std::string path = folder.File("logs.json");
  const auto missing = CheckLogs(PosixFileSystem(), folder.path());
  CHECK(missing.status().code() == StatusCode::kNotFound);
  CHECK_THAT(missing.status().message(), ContainsText(path));
  std::ofstream(path) << R"({"model_linears": [], "sessions": [{"id": "a", "forwards": 1}]})";
  const auto broken = CheckLogs(PosixFileSystem(), folder.path());
  CHECK(broken.status().code() == StatusCode::kUnreadable);
  CHECK_THAT(broken.status().message(), ContainsText(path));
}

}  // namespace
}  // namespace vlaserve
