#include "server/golden/logs.h"

#include <vector>

#include "quant/engine/observer.h"
#include "quant/golden/json_comparison.h"
#include "quant/select/log_lines.h"
#include "server/golden/environment_run.h"
#include "server/golden/log_session.h"

namespace vlaserve {
namespace {

using Json = nlohmann::json;
using Lines = std::vector<std::string>;

// The lines of a session that selection and replacement print, and the error that ended it.
struct Printed {
  Lines lines;
  std::string error;
};

Printed PrintedBy(const Json& session) {
  constexpr std::string_view kFailed = "DUQUANT init failed or skipped: ";
  Printed printed;
  for (const Json& event : session.at("events")) {
    const auto text = event.at("text").get<std::string>();
    const bool ours = text.starts_with("[DUQUANT] ") || text.starts_with("[DUQUANT][DRYRUN]") ||
                      text.starts_with("[DUQUANT][REPLACED]");
    if (ours && event.at("stream") == "stdout") printed.lines.push_back(text);
    if (text.starts_with(kFailed)) printed.error = text.substr(kFailed.size());
  }
  return printed;
}

Lines LinesOf(const EnvironmentRun& run, const std::vector<LinearInfo>& linears) {
  if (run.config.engine == Engine::kOff) return {};
  if (run.config.dry_run) return DryRunLines(linears, run.config, run.selection);
  Lines lines = SelectionLines(linears, run.config, run.selection);
  for (const SelectedLayer& layer : run.selection.layers) {
    lines.push_back(ReplacedLine(layer, run.config));
  }
  lines.push_back(ReplacedTotalLine(static_cast<int64_t>(run.selection.layers.size())));
  return lines;
}

// Whether layers really run.
bool Runs(const Json& session) {
  if (session.at("forwards") == 0) return false;
  for (const Json& event : session.at("events")) {
    if (event.at("text").get<std::string>().starts_with("[DUQUANT] Total layers replaced")) {
      return true;
    }
  }
  return false;
}

void CompareSession(FileSystem& files, const Json& session, const std::vector<LinearInfo>& linears,
                    JsonComparison& compare) {
  const Printed expected = PrintedBy(session);
  const EnvironmentRun run = RunEnvironment(files, session.at("env"), linears);
  if (!expected.error.empty()) {
    compare.FailsWith(expected.error, run.status);
    return;
  }
  if (!compare.Succeeds(run.status)) return;
  compare.Equal("lines", LinesOf(run, linears), expected.lines);
  if (!Runs(session)) return;
  const auto lines = RunLogSession(files, session, linears);
  if (!compare.Succeeds(lines.status())) return;
  Json all = Json::array();
  for (const Json& event : session.at("events")) all.push_back(event.at("text"));
  compare.Equal("lines with forwards", *lines, all);
}

// Tables of the policy's calls. One that the environment switches off is never formatted.
void ComparePolicyProfiles(const Json& tables, GoldenSummary& summary) {
  for (size_t i = 0; i < tables.size(); ++i) {
    const Json& table = tables[i];
    if (table.at("stdout").empty() && !table.at("records").empty()) continue;
    ProfileRow row;
    for (const Json& record : table.at("records")) {
      row.calls += 1;
      row.seconds += record.at("duration_ms").get<double>() / 1000;
      row.elements += record.at("elements").get<int64_t>();
      row.bytes += record.at("byte_size").get<int64_t>();
    }
    const std::string context = " [" + table.at("context").get<std::string>() + "]";
    JsonComparison(summary, "policy_profile " + std::to_string(i))
        .Equal("stdout", PolicyProfileTable(row, context), table.at("stdout"));
  }
}

void CompareProfileFormats(const Json& tables, GoldenSummary& summary) {
  for (size_t i = 0; i < tables.size(); ++i) {
    ProfileRows rows;
    for (const Json& row : tables[i].at("stats")) {
      rows[row.at("label")] = {row.at("calls"), row.at("time_s"), row.at("elements"),
                               row.at("bytes")};
    }
    JsonComparison(summary, "profile_format " + std::to_string(i))
        .Equal(
            "stdout",
            FormatProfileTable("[DUQUANT][PROFILE] fake quantization summary (cuda_sync=on)", rows),
            tables[i].at("stdout"));
  }
}

}  // namespace

Result<GoldenSummary> CheckLogs(FileSystem& files, const std::string& folder) {
  constexpr const char* kFile = "logs.json";
  if (!files.IsFile(JoinPath(folder, kFile))) {
    return Status(StatusCode::kNotFound, JoinPath(folder, kFile) + ": no such file");
  }
  GoldenSummary summary;
  VLASERVE_RETURN_IF_ERROR(CompareJsonFile(files, folder, kFile, [&](const Json& golden) {
    const std::vector<LinearInfo> linears = ReadGoldenLinears(golden.at("model_linears"));
    for (const Json& session : golden.at("sessions")) {
      if (!session.contains("forwards")) continue;
      JsonComparison compare(summary, session.at("id").get<std::string>());
      CompareSession(files, session, linears, compare);
    }
    ComparePolicyProfiles(golden.value("policy_profile", Json::array()), summary);
    CompareProfileFormats(golden.value("profile_format", Json::array()), summary);
  }));
  return summary;
}

}  // namespace vlaserve
