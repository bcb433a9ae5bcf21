#include "server/golden/selection.h"

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "model/checkpoint/synth.h"
#include "model/io/hash.h"
#include "quant/golden/json_comparison.h"
#include "quant/select/log_lines.h"
#include "server/golden/environment_run.h"
#include "server/golden/selection_tables.h"

namespace vlaserve {
namespace {

using Json = nlohmann::json;
using Lines = std::vector<std::string>;
using ModelLinears = std::map<std::string, std::vector<LinearInfo>>;

constexpr const char* kModels[] = {"pi0", "pi05"};

std::vector<LinearInfo> ReleasedLinears(const std::string& model) {
  const PolicyType type = model == "pi0" ? PolicyType::kPi0 : PolicyType::kPi05;
  return ReferenceLinears(SynthGeometry(type, SynthSize::kFull));
}

Json Entries(const std::vector<LinearInfo>& linears) {
  Json entries = Json::array();
  for (const LinearInfo& linear : linears) {
    entries.push_back({linear.name, linear.in_features, linear.out_features, linear.bias});
  }
  return entries;
}

// The folder's own lists, which our reading of the released models has to equal.
Status CompareLinears(FileSystem& files, const std::string& folder, ModelLinears& linears,
                      GoldenSummary& summary) {
  for (const std::string model : kModels) {
    linears[model] = ReleasedLinears(model);
    const std::string file = "linears_" + model + ".json";
    VLASERVE_RETURN_IF_ERROR(CompareJsonFile(files, folder, file, [&](const Json& golden) {
      std::vector<LinearInfo> listed = ReadGoldenLinears(golden.at("linears"));
      JsonComparison(summary, file).Equal("linears", Entries(linears[model]), Entries(listed));
      linears[model] = std::move(listed);
    }));
  }
  return Status::Ok();
}

Lines Names(const Selection& selection) {
  Lines names;
  for (const SelectedLayer& layer : selection.layers) names.push_back(layer.linear.name);
  return names;
}

std::string NamesSha256(const Selection& selection) {
  std::string names;
  for (const std::string& name : Names(selection)) names += (names.empty() ? "" : "\n") + name;
  return Sha256Hex(names);
}

void CompareBits(const Json& expected, const Selection& selection, JsonComparison& compare) {
  std::set<int64_t> values;
  for (const SelectedLayer& layer : selection.layers) {
    const int64_t bits = layer.configured.weight.bits;
    values.insert(bits);
    if (!expected.contains("wbits_exceptions")) continue;
    const Json& exceptions = expected.at("wbits_exceptions");
    const auto exception = exceptions.find(layer.linear.name);
    compare.Equal("bits of " + layer.linear.name, bits,
                  exception == exceptions.end() ? expected.at("wbits_rest") : *exception);
  }
  compare.Equal("wbits_values", values, expected.at("wbits_values"));
}

void CompareLines(const Json& expected, const std::vector<LinearInfo>& linears,
                  const EnvironmentRun& run, JsonComparison& compare) {
  const Lines lines = DryRunLines(linears, run.config, run.selection);
  if (expected.contains("stdout")) {
    const auto printed = expected.at("stdout").get<Lines>();
    // Scripts that are older than the scope line were run with the code of their time.
    const bool as_now = !printed.empty() && printed[0].starts_with("[DUQUANT] SCOPE filter: ");
    if (as_now) compare.Equal("stdout", lines, printed);
  }
  if (!expected.contains("first_line")) return;
  // Between scope and count, and the total.
  compare.Equal("first_line", lines.size() < 4 ? "" : lines[2], expected.at("first_line"));
  compare.Equal("last_line", lines.size() < 4 ? "" : lines[lines.size() - 2],
                expected.at("last_line"));
}

// `expected`: what the reference did with DuQuant's variables.
void CompareDuquant(const Json& expected, const std::vector<LinearInfo>& linears,
                    const EnvironmentRun& run, JsonComparison& compare) {
  if (expected.contains("error")) {
    compare.FailsWith(expected.at("message"), run.status);
    return;
  }
  if (!compare.Succeeds(run.status)) return;
  const bool active = run.config.engine != Engine::kOff;
  if (!compare.Equal("activated", active, expected.at("activated")) || !active) return;
  const Selection& selection = run.selection;
  compare.Equal("matched_count", selection.matched, expected.at("matched_count"));
  compare.Equal("listed_count", selection.layers.size(), expected.at("listed_count"));
  if (expected.contains("names")) {
    compare.Equal("names", Names(selection), expected.at("names"));
  }
  compare.Equal("listed_sha256", NamesSha256(selection), expected.at("listed_sha256"));
  CompareBits(expected, selection, compare);
  CompareLines(expected, linears, run, compare);
}

// The selectors of W8A8 and BitBLAS.
void CompareOther(const Json& expected, const EnvironmentRun& run, JsonComparison& compare) {
  if (!compare.Succeeds(run.status)) return;
  compare.Equal("count", run.selection.layers.size(), expected.at("count"));
  compare.Equal("sha256", NamesSha256(run.selection), expected.at("sha256"));
}

// What a script selects, by which of the selectors: W8A8 and BitBLAS where they are on, else
// DuQuant with the reference's code as it is now, whatever it was when the script was written.
struct Expectation {
  bool duquant = false;
  Json selected;
};

std::optional<Expectation> ExpectationOf(const Json& script, const std::string& model) {
  for (const std::string selector : {"w8a8", "bitblas", "duquant_with_head_code", "duquant"}) {
    const auto found = script.find(selector);
    if (found == script.end() || found->is_null()) continue;
    if (!found->contains(model)) return std::nullopt;
    return Expectation{selector.starts_with("duquant"), found->at(model)};
  }
  return std::nullopt;
}

}  // namespace

Result<GoldenSummary> CheckSelection(FileSystem& files, const std::string& folder) {
  GoldenSummary summary;
  ModelLinears linears;
  VLASERVE_RETURN_IF_ERROR(CompareLinears(files, folder, linears, summary));
  VLASERVE_RETURN_IF_ERROR(CompareJsonFile(files, folder, "scripts.json", [&](const Json& golden) {
    for (const Json& script : golden.at("scripts")) {
      for (const std::string model : kModels) {
        const std::optional<Expectation> expected = ExpectationOf(script, model);
        if (!expected) continue;
        JsonComparison compare(summary, script.at("id").get<std::string>() + " " + model);
        const EnvironmentRun run = RunEnvironment(files, script.at("env"), linears[model]);
        if (expected->duquant) {
          CompareDuquant(expected->selected, linears[model], run, compare);
        } else {
          CompareOther(expected->selected, run, compare);
        }
      }
    }
  }));
  VLASERVE_RETURN_IF_ERROR(CompareJsonFile(files, folder, "cases.json", [&](const Json& golden) {
    for (const Json& entry : golden.at("cases")) {
      for (const auto& [model, expected] : entry.at("result").items()) {
        JsonComparison compare(summary, entry.at("id").get<std::string>() + " " + model);
        const EnvironmentRun run = RunEnvironment(files, entry.at("env"), linears[model]);
        CompareDuquant(expected, linears[model], run, compare);
      }
    }
  }));
  VLASERVE_RETURN_IF_ERROR(CompareSelectionTables(files, folder, summary));
  return summary;
}

}  // namespace vlaserve
