// The reference's selection: for every environment of the golden data the same layers, bits and
// lines, or the same error.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "model/checkpoint/synth.h"
#include "model/io/hash.h"
#include "quant/select/log_lines.h"
#include "server/config/load.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)
using Json = nlohmann::json;
using Lines = std::vector<std::string>;

namespace {

std::vector<LinearInfo> ReadLinears(const Json& list) {
  std::vector<LinearInfo> linears;
  for (const Json& entry : list) {
    linears.push_back({entry["name"], entry["in_features"], entry["out_features"], entry["bias"],
                       /*live=*/true});
  }
  return linears;
}

// The golden folder's own list, else that of the released models.
std::vector<LinearInfo> LinearsOf(const std::string& model) {
  const std::string file = "quant/selection/linears_" + model + ".json";
  if (HasGolden(file)) {
    const Json golden = ReadGoldenJson(file);
    return ReadLinears(golden["linears"]);
  }
  const PolicyType type = model == "pi0" ? PolicyType::kPi0 : PolicyType::kPi05;
  return ReferenceLinears(SynthGeometry(type, SynthSize::kFull));
}

std::string NamesSha256(const Selection& selection) {
  std::string names;
  for (const SelectedLayer& layer : selection.layers) {
    names += (names.empty() ? "" : "\n") + layer.linear.name;
  }
  return Sha256Hex(names);
}

Environment EnvironmentOf(const Json& variables) {
  return variables.get<std::map<std::string, std::string>>();
}

// What `vlaserve layers` does.
struct Outcome {
  Status status;
  QuantConfig config;
  Selection selection;
};

Outcome Run(const Environment& environment, const std::vector<LinearInfo>& linears) {
  Outcome outcome;
  auto loaded = LoadConfig(PosixFileSystem(), {.environment = environment});
  outcome.status = loaded.status();
  if (!loaded.ok()) return outcome;
  outcome.config = loaded->config.quant;
  if (outcome.config.engine == Engine::kOff) return outcome;
  auto selection = Select(linears, outcome.config);
  outcome.status = selection.status();
  if (selection.ok()) outcome.selection = *std::move(selection);
  return outcome;
}

void CheckBits(const Json& expected, const Selection& selection) {
  std::set<int64_t> values;
  for (const SelectedLayer& layer : selection.layers) {
    const int64_t bits = layer.configured.weight.bits;
    values.insert(bits);
    if (!expected.contains("wbits_exceptions")) continue;
    INFO(layer.linear.name);
    const Json& exceptions = expected["wbits_exceptions"];
    const Json& wanted = exceptions.contains(layer.linear.name) ? exceptions[layer.linear.name]
                                                                : expected["wbits_rest"];
    CHECK(wanted == bits);
  }
  CHECK(Json(values) == expected["wbits_values"]);
}

void CheckLines(const Json& expected, const std::vector<LinearInfo>& linears,
                const Outcome& outcome) {
  const Lines lines = DryRunLines(linears, outcome.config, outcome.selection);
  if (expected.contains("stdout")) {
    const auto printed = expected["stdout"].get<Lines>();
    // Scripts that are older than the scope line were run with the code of their time.
    const bool as_now = printed.at(0).starts_with("[DUQUANT] SCOPE filter: ");
    if (as_now) CHECK(lines == printed);
  }
  if (!expected.contains("first_line")) return;
  CHECK(lines[2] == expected["first_line"].get<std::string>());
  CHECK(lines[lines.size() - 2] == expected["last_line"].get<std::string>());
}

// `expected`: what the reference did with DUQUANT's variables.
void CheckDuquant(const Json& expected, const std::vector<LinearInfo>& linears,
                  const Outcome& outcome) {
  if (expected.contains("error")) {
    REQUIRE(!outcome.status.ok());
    INFO(outcome.status.message());
    CHECK(outcome.status.code() == StatusCode::kInvalidArgument);
    CHECK(outcome.status.message().find(expected["message"].get<std::string>()) !=
          std::string::npos);
    return;
  }
  INFO(outcome.status.message());
  REQUIRE(outcome.status.ok());
  if (!expected["activated"].get<bool>()) {
    CHECK(outcome.config.engine == Engine::kOff);
    return;
  }
  REQUIRE(outcome.config.engine != Engine::kOff);
  const Selection& selection = outcome.selection;
  CHECK(selection.matched == expected["matched_count"].get<int64_t>());
  CHECK(selection.layers.size() == expected["listed_count"].get<size_t>());
  CHECK(NamesSha256(selection) == expected["listed_sha256"].get<std::string>());
  CheckBits(expected, selection);
  CheckLines(expected, linears, outcome);
}

// The selectors of W8A8 and BitBLAS.
void CheckOther(const Json& expected, const Outcome& outcome) {
  INFO(outcome.status.message());
  REQUIRE(outcome.status.ok());
  CHECK(outcome.selection.layers.size() == expected["count"].get<size_t>());
  CHECK(NamesSha256(outcome.selection) == expected["sha256"].get<std::string>());
}

// What a script selects, by which of the selectors: W8A8 and BitBLAS where they are on, else
// DuQuant with the reference's code as it is now, whatever it was when the script was written.
std::pair<std::string, Json> ExpectationOf(const Json& script, const std::string& model) {
  for (const char* selector : {"w8a8", "bitblas", "duquant_with_head_code", "duquant"}) {
    const auto found = script.find(selector);
    if (found == script.end() || found->is_null()) continue;
    return {selector, found->contains(model) ? (*found)[model] : Json()};
  }
  return {"", Json()};
}

const std::string kScripts = "quant/selection/scripts.json";
const std::string kCases = "quant/selection/cases.json";
const std::string kLogs = "quant/logs/logs.json";

}  // namespace

TEST_CASE("golden: every script of openpi_duquant selects the same layers") {
  size_t cases = 0;
  const Json golden = ReadGoldenJson(kScripts);
  for (const Json& script : golden["scripts"]) {
    INFO(script["id"].get<std::string>());
    for (const std::string model : {"pi0", "pi05"}) {
      const auto [selector, expected] = ExpectationOf(script, model);
      if (expected.is_null()) continue;
      INFO(model);
      const auto linears = LinearsOf(model);
      const Outcome outcome = Run(EnvironmentOf(script["env"]), linears);
      if (selector == "w8a8" || selector == "bitblas") {
        CheckOther(expected, outcome);
      } else {
        CheckDuquant(expected, linears, outcome);
      }
      ++cases;
    }
  }
  ReportGoldenCases(kScripts, cases);
}

TEST_CASE("golden: every tricky environment gives the same layers, lines or error") {
  size_t cases = 0;
  const Json golden = ReadGoldenJson(kCases);
  for (const Json& entry : golden["cases"]) {
    INFO(entry["id"].get<std::string>());
    for (const auto& [model, expected] : entry["result"].items()) {
      INFO(model);
      const auto linears = LinearsOf(model);
      const Outcome outcome = Run(EnvironmentOf(entry["env"]), linears);
      CheckDuquant(expected, linears, outcome);
      if (expected.contains("names")) {
        Lines names;
        for (const auto& layer : outcome.selection.layers) names.push_back(layer.linear.name);
        CHECK(names == expected["names"].get<Lines>());
      }
    }
    ++cases;
  }
  ReportGoldenCases(kCases, cases);
}

TEST_CASE("golden: the linears of the released models are the reference's, in its order") {
  size_t cases = 0;
  for (const std::string model : {"pi0", "pi05"}) {
    const std::string file = "quant/selection/linears_" + model + ".json";
    if (!HasGolden(file)) continue;
    ++cases;
    const auto golden = LinearsOf(model);
    const PolicyType type = model == "pi0" ? PolicyType::kPi0 : PolicyType::kPi05;
    const auto ours = ReferenceLinears(SynthGeometry(type, SynthSize::kFull));
    REQUIRE(golden.size() == ours.size());
    for (size_t i = 0; i < ours.size(); ++i) {
      CHECK(golden[i].name == ours[i].name);
      CHECK(golden[i].in_features == ours[i].in_features);
      CHECK(golden[i].out_features == ours[i].out_features);
      CHECK(golden[i].bias == ours[i].bias);
    }
  }
  // The copy in the repository leaves the lists out.
  if (cases > 0) ReportGoldenCases("quant/selection/linears_*.json", cases);
}

TEST_CASE("golden: the lines of dry runs and replacements are the reference's") {
  const Json logs = ReadGoldenJson(kLogs);
  const auto linears = ReadLinears(logs["model_linears"]);
  size_t cases = 0;
  for (const Json& session : logs["sessions"]) {
    if (!session.contains("forwards")) continue;  // SmoothQuant's messages: no lines of ours
    INFO(session["id"].get<std::string>());
    ++cases;
    Lines expected;
    std::string error;
    const std::string failed = "DUQUANT init failed or skipped: ";
    for (const Json& event : session["events"]) {
      const auto text = event["text"].get<std::string>();
      if (event["stream"] == "stdout" &&
          (text.starts_with("[DUQUANT] ") || text.starts_with("[DUQUANT][DRYRUN]") ||
           text.starts_with("[DUQUANT][REPLACED]"))) {
        expected.push_back(text);
      }
      if (text.starts_with(failed)) error = text.substr(failed.size());
    }
    const Outcome outcome = Run(EnvironmentOf(session["env"]), linears);
    INFO(outcome.status.message());
    if (!error.empty()) {
      CHECK(!outcome.status.ok());
      CHECK(outcome.status.message().find(error) != std::string::npos);
      continue;
    }
    REQUIRE(outcome.status.ok());
    Lines lines;
    const Selection& selection = outcome.selection;
    if (outcome.config.engine != Engine::kOff) {
      lines = SelectionLines(linears, outcome.config, selection);
      const bool dry_run = outcome.config.dry_run;
      for (const SelectedLayer& layer : selection.layers) {
        lines.push_back(dry_run ? DryRunLine(layer, outcome.config)
                                : ReplacedLine(layer, outcome.config));
      }
      const auto count = static_cast<int64_t>(selection.layers.size());
      lines.push_back(dry_run ? DryRunTotalLine(count) : ReplacedTotalLine(count));
    }
    CHECK(lines == expected);
  }
  ReportGoldenCases(kLogs, cases);
}
