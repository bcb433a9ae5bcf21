#include "quant/golden/int_oracle.h"

#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "model/io/file_system.h"
#include "model/io/safetensors.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {
namespace {

TEST_CASE("golden: the integer format, bit for bit") {
  const auto summary = CheckIntOracle(PosixFileSystem(), GoldenPath("quant/int_oracle"));
  INFO(summary.status().message());
  REQUIRE(summary.ok());
  std::string failures;
  for (const GoldenFailure& failure : summary->failures) {
    failures += "\n" + failure.case_id + " " + failure.value + " " + failure.difference;
  }
  INFO(failures);
  CHECK(summary->failures.empty());
  CHECK(summary->comparisons > 0);
  ReportGoldenCases("quant/int_oracle", static_cast<size_t>(summary->cases));
}

// Float32 tensors of one row each.
void WriteTensors(const std::string& path, const std::map<std::string, std::vector<float>>& tensors,
                  const std::map<std::string, std::string>& metadata) {
  std::vector<SafetensorsWriter::Declaration> declarations;
  declarations.reserve(tensors.size());
  for (const auto& [name, values] : tensors) {
    declarations.push_back({name, DType::kF32, {1, std::ssize(values)}});
  }
  auto writer =
      SafetensorsWriter::Create(PosixFileSystem(), path, std::move(declarations), metadata);
  REQUIRE(writer.ok());
  for (const auto& [name, values] : tensors) {
    REQUIRE(writer->Append(std::as_bytes(std::span(values))).ok());
  }
  REQUIRE(writer->Finish().ok());
}

GoldenSummary Check(const TempDir& folder) {
  auto summary = CheckIntOracle(PosixFileSystem(), folder.path());
  INFO(summary.status().message());
  REQUIRE(summary.ok());
  return std::move(summary).value();
}

const std::string kInfo =
    R"({"id": "small", "N": 1, "K": 2, "M": 1, "w_bits": 4, "w_group": "row", "act": "token",
        "act_group": null, "method": "rtn", "hadamard_block": 0, "expect": "ok"})";

// Scales of 1, codes 7, -4 and 127, -1.
std::map<std::string, std::vector<float>> SmallCase(float y) {
  return {{"W", {7, -3.5f}}, {"x", {127, -1}}, {"y", {y}}};
}

TEST_CASE("the comparison with golden data accepts a right value and names a wrong one") {
  const TempDir folder;
  const std::string path = folder.File("small.safetensors");
  WriteTensors(path, SmallCase(893), {{"info", kInfo}});
  GoldenSummary summary = Check(folder);
  CHECK(summary.cases == 1);
  CHECK(summary.comparisons == 1);
  CHECK(summary.failures.empty());

  WriteTensors(path, SmallCase(894), {{"info", kInfo}});
  summary = Check(folder);
  REQUIRE(summary.failures.size() == 1);
  CHECK(summary.failures[0].case_id == "small");
  CHECK(summary.failures[0].value == "y");
  CHECK(summary.failures[0].difference == "[0, 0]: 893, expected 894");
}

TEST_CASE("the comparison with golden data leaves no tensor out in silence") {
  const TempDir folder;
  const std::string path = folder.File("small.safetensors");
  auto tensors = SmallCase(893);
  tensors["w_zeros"] = {0};
  WriteTensors(path, tensors, {{"info", kInfo}});
  GoldenSummary summary = Check(folder);
  REQUIRE(summary.failures.size() == 1);
  CHECK(summary.failures[0].value == "w_zeros");

  tensors = SmallCase(893);
  tensors.erase("y");
  WriteTensors(path, tensors, {{"info", kInfo}});
  summary = Check(folder);
  REQUIRE(summary.failures.size() == 1);
  CHECK(summary.failures[0].value == "y");

  const TempDir hadamard;
  WriteTensors(hadamard.File("hadamard.safetensors"), {{"in_2", {1, 3}}, {"in_1", {5}}}, {});
  summary = Check(hadamard);
  CHECK(summary.cases == 2);
  CHECK(summary.failures.size() == 2);
}

TEST_CASE("the comparison with golden data expects the errors that a case names") {
  const TempDir folder;
  const auto check = [&](const std::string& expect) {
    std::string info = kInfo;
    info.replace(info.find("\"expect\": \"ok\""), 14, expect);
    WriteTensors(folder.File("small.safetensors"), {{"W", {7, -3.5f}}, {"x", {127, -1}}},
                 {{"info", info}});
    return Check(folder).failures;
  };
  CHECK(check(R"("expect": "pack_error", "reason": "non-finite weight")").size() == 1);
  CHECK(check(R"("expect": "activation_error", "bad_rows": [0])").size() == 2);
}

TEST_CASE("a folder that is not golden data of the integer format is an error") {
  const TempDir folder;
  CHECK(CheckIntOracle(PosixFileSystem(), folder.File("missing")).status().code() ==
        StatusCode::kNotFound);
  const std::string path = folder.File("small.safetensors");
  const auto message = [&](const std::map<std::string, std::string>& metadata) {
    WriteTensors(path, SmallCase(893), metadata);
    const auto summary = CheckIntOracle(PosixFileSystem(), folder.path());
    REQUIRE_FALSE(summary.ok());
    CHECK(summary.status().code() == StatusCode::kUnreadable);
    return summary.status().message();
  };
  const auto changed = [](const std::string& from, const std::string& to) {
    std::string info = kInfo;
    info.replace(info.find(from), from.size(), to);
    return std::map<std::string, std::string>{{"info", info}};
  };
  CHECK(message({}).find("no \"info\"") != std::string::npos);
  CHECK(message({{"info", "[1]"}}).find("\"id\"") != std::string::npos);
  CHECK(message(changed("\"K\": 2", "\"K\": 3")).find("no tensor W [1, 3]") != std::string::npos);
  CHECK(message(changed("\"K\": 2", "\"K\": -2")).find("\"K\"") != std::string::npos);
  CHECK(message(changed("rtn", "gptq")).find("\"gptq\"") != std::string::npos);
  CHECK(
      message(changed("\"hadamard_block\": 0", "\"hadamard_block\": 4")).find("hadamard_block 4") !=
      std::string::npos);
}

}  // namespace
}  // namespace vlaserve
