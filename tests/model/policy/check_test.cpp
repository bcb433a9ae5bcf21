// The engine of `vlaserve check`: its verdicts, its errors and how it says them.

#include "model/policy/check.h"

#include <limits>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/model/policy/exported.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"
#include "tests/support/matchers.h"

namespace vlaserve {
namespace {

ReferenceTensor Reference(std::vector<double> values) {
  ReferenceTensor tensor;
  tensor.name = "case0.actions";
  tensor.shape = {static_cast<int64_t>(values.size())};
  tensor.values = std::move(values);
  return tensor;
}

CheckReport Report(std::vector<Comparison> comparisons) {
  CheckReport report;
  report.folder = "golden";
  report.reference = "actions";
  report.tolerance = DefaultTolerance("actions");
  report.cases = static_cast<int>(comparisons.size());
  report.comparisons = std::move(comparisons);
  return report;
}

}  // namespace

TEST_CASE("Comparisons measure the largest and the mean difference") {
  const Comparison comparison = Compare(std::vector<float>{1.0F, 2.0F, 3.5F, -4.0F},
                                        Reference({1, 2, 3, -4.25}), {.max = 0.5, .mean = 0.1875});
  CHECK(comparison.max_abs_diff == 0.5);
  CHECK(comparison.mean_abs_diff == 0.1875);
  CHECK(comparison.reference_abs_max == 4.25);
  CHECK(comparison.passed);
  CHECK_FALSE(Compare(std::vector<float>{1.5F}, Reference({1}), {.max = 0.4, .mean = 1}).passed);
  CHECK_FALSE(Compare(std::vector<float>{1.5F}, Reference({1}), {.max = 1, .mean = 0.4}).passed);
}

TEST_CASE("NaN, infinities and missing values never pass") {
  const Tolerance wide = {.max = 1e300, .mean = 1e300};
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK_FALSE(Compare(std::vector<double>{nan}, Reference({1}), wide).passed);
  CHECK_FALSE(Compare(std::vector<double>{1}, Reference({nan}), wide).passed);
  CHECK_FALSE(Compare(std::vector<double>{nan}, Reference({nan}), wide).passed);
  CHECK_FALSE(Compare(std::vector<double>{1, 2}, Reference({1}), wide).passed);
  CHECK_FALSE(Compare(std::vector<double>{}, Reference({}), wide).passed);
}

TEST_CASE("A report without a case has failed") {
  CHECK_FALSE(Report({}).passed());
  CHECK_THAT(CheckReportText(Report({})), ContainsText("FAILED: no case ran"));
  CHECK(CheckReportJson(Report({})).at("passed") == false);
}

TEST_CASE("Text and JSON say what was compared and what departed first") {
  Comparison good = {.name = "case0.actions", .max_abs_diff = 1e-6, .passed = true};
  Comparison bad = {.name = "case1.actions",
                    .max_abs_diff = std::numeric_limits<double>::infinity()};
  CheckReport passed = Report({good});
  CHECK(passed.passed());
  CHECK_THAT(CheckReportText(passed), ContainsText("passed: 1 of 1 comparisons within max 1e-05"));
  CheckReport failed = Report({good, bad});
  failed.intermediates = {{.name = "case0.image_emb.x", .passed = true},
                          {.name = "case0.prefix_k.1", .max_abs_diff = 0.25},
                          {.name = "case0.prefix_k.2", .max_abs_diff = 0.5}};
  CHECK_FALSE(failed.passed());
  const std::string text = CheckReportText(failed);
  CHECK_THAT(text, ContainsText("golden: 2 cases run, reference actions"));
  CHECK_THAT(text, ContainsText("case1.actions: max inf"));
  CHECK_THAT(text, ContainsText("first intermediate that departs: case0.prefix_k.1, max 0.25"));
  CHECK_THAT(text, ContainsText("FAILED: 1 of 2"));
  const nlohmann::json json = CheckReportJson(failed);
  CHECK(json.at("cases") == 2);
  CHECK(json.at("comparisons").at(1).at("max_abs_diff") == "inf");
  CHECK(json.at("first_departure").at("name") == "case0.prefix_k.1");
  failed.intermediates = {{.name = "case0.image_emb.x", .passed = true}};
  CHECK_THAT(CheckReportText(failed), ContainsText("look at the savings"));
  CHECK(CheckReportJson(failed).at("first_departure").is_null());
}

TEST_CASE("References computed in bfloat16 have wider default tolerances") {
  CHECK(DefaultTolerance("actions").max == 1e-5);
  CHECK(DefaultTolerance("actions_fp32_bf16_rope").max == 1e-5);
  CHECK(DefaultTolerance("actions_bf16_policy").max == 0.15);
  CHECK(DefaultTolerance("actions_bf16_policy").mean == 0.03);
}

TEST_CASE("A golden folder that cannot be used is an error that says why") {
  const std::string golden = GoldenModelFolders().front();
  const auto archive = ExportGolden(golden, SettingsFor(golden));
  const auto policy = TorchPolicy::Create(archive->Open(), {});
  REQUIRE(policy.ok());
  const auto check = [&](const std::string& folder, const std::string& reference) {
    return RunCheck(PosixFileSystem(), **policy, {.golden = folder, .reference = reference});
  };
  const TempDir folder;
  CHECK(check(folder.path(), "actions").status().code() == StatusCode::kNotFound);

  folder.Write("cases.json", "{\"cases\": 1}");
  CHECK_FALSE(check(folder.path(), "actions").ok());
  const std::string tensors =
      *PosixFileSystem().Read(GoldenPath(golden + "/cases.safetensors"), size_t{64} << 20);
  folder.Write("cases.safetensors", tensors);
  CHECK_THAT(check(folder.path(), "actions").status().message(),
             ContainsText("\"cases\" is not an array"));

  nlohmann::json cases = ReadGoldenJson(golden + "/cases.json");
  const nlohmann::json first = cases.at("cases").at(0);
  const auto message = [&](const nlohmann::json& description) {
    cases["cases"] = nlohmann::json::array({description});
    folder.Write("cases.json", cases.dump());
    return check(folder.path(), "actions").status().message();
  };
  CHECK(message(first).empty());
  nlohmann::json broken = first;
  broken.erase("num_steps");
  CHECK_THAT(message(broken), ContainsText("cases.json: /cases/0: no key \"num_steps\""));
  broken = first;
  broken["num_steps"] = "ten";
  CHECK_THAT(message(broken), ContainsText("key \"num_steps\" has the wrong type"));
  broken = first;
  broken["index"] = 4711;
  CHECK_THAT(message(broken), ContainsText("no tensor \"case4711.tokens\""));
  broken = first;
  broken["images"].begin().value() = "image.4711";
  CHECK_THAT(message(broken), ContainsText("no tensor \"image.4711\""));

  // Each tolerance replaces its own default only.
  const Result<CheckReport> wide =
      RunCheck(PosixFileSystem(), **policy, {.golden = GoldenPath(golden), .tolerance = 0.5});
  REQUIRE(wide.ok());
  CHECK(wide->tolerance.max == 0.5);
  CHECK(wide->tolerance.mean == DefaultTolerance("actions").mean);

  const Status unknown = check(GoldenPath(golden), "actions_fp8").status();
  CHECK(unknown.code() == StatusCode::kInvalidArgument);
  CHECK_THAT(unknown.message(), ContainsText("there are: actions, "));

  cases["cases"] = nlohmann::json::array();
  folder.Write("cases.json", cases.dump());
  const Result<CheckReport> empty = check(folder.path(), "actions");
  REQUIRE(empty.ok());
  CHECK_FALSE(empty->passed());
}

}  // namespace vlaserve
