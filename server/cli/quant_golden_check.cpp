#include <iostream>

#include <nlohmann/json.hpp>

#include "model/io/file_system.h"
#include "quant/golden/int_oracle.h"
#include "quant/golden/legacy.h"
#include "server/cli/exit_code.h"
#include "server/cli/quant_checks.h"
#include "server/golden/logs.h"
#include "server/golden/selection.h"

namespace vlaserve {
namespace {

// One kind of golden data of the quantizer.
struct Kind {
  const char* name;  // of the subfolder too
  Result<GoldenSummary> (*check)(FileSystem& files, const std::string& folder);
};
constexpr Kind kIntOracle = {"int_oracle", CheckIntOracle};
constexpr Kind kLegacy = {"legacy", CheckLegacy};
constexpr Kind kSelection = {"selection", CheckSelection};
constexpr Kind kLogs = {"logs", CheckLogs};

struct KindResult {
  const char* name;
  GoldenSummary summary;
};

// What `folder` itself holds, if it is no folder of folders.
const Kind& KindOf(FileSystem& files, const std::string& folder) {
  const auto holds = [&](const char* file) { return files.IsFile(JoinPath(folder, file)); };
  if (files.IsDirectory(JoinPath(folder, "cases"))) return kLegacy;
  if (holds("logs.json")) return kLogs;
  for (const char* file : {"cases.json", "scripts.json", "linears_pi0.json", "linears_pi05.json",
                           "regexes.json", "wbits_parse.json", "sanitize.json"}) {
    if (holds(file)) return kSelection;
  }
  return kIntOracle;
}

Result<std::vector<KindResult>> Check(const std::string& folder) {
  FileSystem& files = PosixFileSystem();
  if (!files.IsDirectory(folder)) {
    return Status(StatusCode::kNotFound, folder + ": no such folder");
  }
  std::vector<KindResult> results;
  for (const Kind& kind : {kSelection, kLegacy, kLogs, kIntOracle}) {
    const std::string path = JoinPath(folder, kind.name);
    if (!files.IsDirectory(path)) continue;
    VLASERVE_ASSIGN_OR_RETURN(GoldenSummary summary, kind.check(files, path));
    results.push_back({kind.name, std::move(summary)});
  }
  if (!results.empty()) return results;
  const Kind& kind = KindOf(files, folder);
  VLASERVE_ASSIGN_OR_RETURN(GoldenSummary summary, kind.check(files, folder));
  results.push_back({kind.name, std::move(summary)});
  return results;
}

bool Passed(const std::vector<KindResult>& results) {
  int64_t cases = 0;
  size_t failures = 0;
  for (const KindResult& result : results) {
    cases += result.summary.cases;
    failures += result.summary.failures.size();
  }
  return cases > 0 && failures == 0;
}

void PrintText(const std::vector<KindResult>& results) {
  for (const KindResult& result : results) {
    const GoldenSummary& summary = result.summary;
    std::cout << result.name << ": " << summary.cases << " cases run, " << summary.comparisons
              << " comparisons, " << summary.failures.size() << " failures\n";
    for (const GoldenFailure& failure : summary.failures) {
      std::cout << "  " << failure.case_id << (failure.value.empty() ? "" : ": ") << failure.value
                << ": " << failure.difference << "\n";
    }
  }
  std::cout << (Passed(results) ? "passed" : "FAILED") << std::endl;
}

void PrintJson(const std::vector<KindResult>& results) {
  nlohmann::json kinds = nlohmann::json::object();
  for (const KindResult& result : results) {
    nlohmann::json failures = nlohmann::json::array();
    for (const GoldenFailure& failure : result.summary.failures) {
      failures.push_back({{"case", failure.case_id},
                          {"value", failure.value},
                          {"difference", failure.difference}});
    }
    kinds[result.name] = {{"cases", result.summary.cases},
                          {"comparisons", result.summary.comparisons},
                          {"failures", std::move(failures)}};
  }
  std::cout << nlohmann::json{{"passed", Passed(results)}, {"kinds", std::move(kinds)}}.dump(2)
            << std::endl;
}

}  // namespace

int RunQuantGolden(const std::string& folder, bool json) {
  const auto results = Check(folder);
  if (!results.ok()) {
    // No case ran.
    const int code = Fail("check", results.status());
    return code == kExitUnreadable ? int{kExitFailure} : code;
  }
  json ? PrintJson(*results) : PrintText(*results);
  return Passed(*results) ? kExitOk : kExitFailure;
}

}  // namespace vlaserve
