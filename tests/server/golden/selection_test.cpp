// The reference's selection: for every environment of the golden data the same layers, bits and
// lines, or the same error.
#include "server/golden/selection.h"

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

void Write(const TempDir& folder, const std::string& name, const Json& content) {
  std::ofstream(folder.File(name)) << content;
}

GoldenSummary Check(const std::string& folder) {
  auto summary = CheckSelection(PosixFileSystem(), folder);
  INFO(summary.status().message());
  REQUIRE(summary.ok());
  return *std::move(summary);
}

TEST_CASE("golden: every environment selects the reference's layers, or gives its error") {
  const GoldenSummary summary = Check(GoldenPath("quant/selection"));
  std::string failures;
  for (const GoldenFailure& failure : summary.failures) {
    failures += "\n" + failure.case_id + " " + failure.value + ": " + failure.difference;
  }
  INFO(failures);
  CHECK(summary.failures.empty());
  CHECK(summary.comparisons >= summary.cases);
  ReportGoldenCases("quant/selection", static_cast<size_t>(summary.cases));
}

// The expert's q projections of full-size π0.5, in 8 bits.
Json QProjections() {
  return {{"id", "q"},
          {"env",
           {{"OPENPI_DUQUANT_SCOPE", "paligemma_with_expert.gemma_expert.model."},
            {"OPENPI_DUQUANT_INCLUDE", "q_proj"},
            {"OPENPI_DUQUANT_WBITS_DEFAULT", "8"}}},
          {"result",
           {{"pi05",
             {{"activated", true},
              {"matched_count", 18},
              {"listed_count", 18},
              {"listed_sha256", "no such sum"},
              {"wbits_values", {8}}}}}}};
}

TEST_CASE("A difference in a selection is named with case, found and expected value") {
  const TempDir folder;
  Json entry = QProjections();
  Json& expected = entry["result"]["pi05"];
  const auto differences = [&] {
    Write(folder, "cases.json", {{"cases", {entry}}});
    std::map<std::string, std::string> by_value;
    const GoldenSummary summary = Check(folder.path());
    CHECK(summary.cases == 1);
    for (const GoldenFailure& failure : summary.failures) {
      CHECK(failure.case_id == "q pi05");
      by_value[failure.value] = failure.difference;
    }
    return by_value;
  };
  auto found = differences();
  REQUIRE(found.size() == 1);
  CHECK_THAT(found["listed_sha256"], ContainsText(", expected \"no such sum\""));

  const std::string sum = found["listed_sha256"].substr(1, 64);
  expected["listed_sha256"] = sum;
  CHECK(differences().empty());

  expected["matched_count"] = 19;
  expected["wbits_values"] = {4};
  expected["stdout"] = {"[DUQUANT] SCOPE filter: 'vision'"};
  expected["names"] = {"a"};
  found = differences();
  CHECK(found.size() == 4);
  CHECK(found["matched_count"] == "18, expected 19");
  CHECK(found["wbits_values"] == "[0]: 8, expected 4");
  CHECK(found["stdout"] ==
        "[0]: \"[DUQUANT] SCOPE filter: 'paligemma_with_expert.gemma_expert.model.'\", expected "
        "\"[DUQUANT] SCOPE filter: 'vision'\"");
  CHECK_THAT(found["names"], ContainsText("layers.0.self_attn.q_proj\", expected \"a\""));

  expected = {{"error", "ValueError"}, {"message", "no such number"}};
  found = differences();
  REQUIRE(found.size() == 1);
  CHECK_THAT(found["error"], ContainsText("expected \"no such number\""));
}

TEST_CASE("Differences in the lists and tables of a selection are named") {
  const TempDir folder;
  Write(folder, "linears_pi0.json",
        {{"linears", {{{"name", "a"}, {"in_features", 1}, {"out_features", 2}, {"bias", true}}}}});
  Write(folder, "regexes.json",
        {{"regexes",
          {{{"regex", "x("}, {"python", "error: another"}},
           {{"regex", "lm_head"}, {"python", {{"matching_names", 7}, {"of", 461}}}}}}});
  Write(folder, "wbits_parse.json", {{"table", {{{"text", "a:4"}, {"parsed", {{"a", 5}}}}}}});
  Write(folder, "sanitize.json", {{"table", {{{"name", "a b"}, {"stem", "a b"}}}}});
  const GoldenSummary summary = Check(folder.path());
  CHECK(summary.cases == 5);
  std::string ids;
  for (const GoldenFailure& failure : summary.failures) ids += failure.case_id + ";";
  CHECK(ids == "linears_pi0.json;regex x(;regex lm_head;wbits \"a:4\";file name of \"a b\";");
}

TEST_CASE("A file of a selection that has another form is an error with its path") {
  const TempDir folder;
  for (const char* name : {"cases.json", "scripts.json", "sanitize.json", "linears_pi05.json"}) {
    const TempDir broken;
    Write(broken, name, {{"other", 1}});
    const auto summary = CheckSelection(PosixFileSystem(), broken.path());
    REQUIRE_FALSE(summary.ok());
    CHECK(summary.status().code() == StatusCode::kUnreadable);
    CHECK_THAT(summary.status().message(), ContainsText(broken.File(name)));
  }
  CHECK(Check(folder.path()).cases == 0);
}

}  // namespace
}  // namespace vlaserve
