#include "server/golden/selection_tables.h"

#include <cstdlib>
#include <set>
#include <utility>

#include "model/checkpoint/synth.h"
#include "quant/golden/json_comparison.h"
#include "quant/pack/npz_pack.h"
#include "quant/select/python_regex.h"
#include "server/config/python_number.h"

namespace vlaserve {
namespace {

using Json = nlohmann::json;

// The names of the linears of both released models, each once.
std::set<std::string> AllNames() {
  std::set<std::string> names;
  for (const PolicyType type : {PolicyType::kPi0, PolicyType::kPi05}) {
    for (const LinearInfo& linear : ReferenceLinears(SynthGeometry(type, SynthSize::kFull))) {
      names.insert(linear.name);
    }
  }
  return names;
}

// "python": how many names the expression finds, or "error: <message>".
void CompareRegex(const Json& entry, const std::set<std::string>& names, JsonComparison& compare) {
  const auto regex = PythonRegex::Compile(entry.at("regex").get<std::string>());
  const Json& expected = entry.at("python");
  if (expected.is_string()) {
    compare.Equal("error", regex.ok() ? "" : "error: " + regex.status().message(), expected);
    return;
  }
  if (!compare.Succeeds(regex.status())) return;
  compare.Equal("of", names.size(), expected.at("of"));
  size_t found = 0;
  for (const std::string& name : names) {
    const auto matches = regex->Search(name);
    if (!matches.ok()) {
      compare.Fail(name, matches.status().message());
      return;
    }
    found += *matches ? 1U : 0U;
  }
  compare.Equal("matching_names", found, expected.at("matching_names"));
}

void CompareWbits(const Json& entry, JsonComparison& compare) {
  Json parsed = Json::object();
  for (const auto& [name, bits] : ParseWbits(entry.at("text").get<std::string>())) {
    // Numbers beyond 64 bits come as floating point.
    parsed[name] = std::strtod(bits.digits.c_str(), nullptr);
  }
  compare.Equal("parsed", parsed, entry.at("parsed"));
}

}  // namespace

Status CompareSelectionTables(FileSystem& files, const std::string& folder,
                              GoldenSummary& summary) {
  VLASERVE_RETURN_IF_ERROR(CompareJsonFile(files, folder, "regexes.json", [&](const Json& golden) {
    const std::set<std::string> names = AllNames();
    for (const Json& entry : golden.at("regexes")) {
      JsonComparison compare(summary, "regex " + entry.at("regex").get<std::string>());
      CompareRegex(entry, names, compare);
    }
  }));
  VLASERVE_RETURN_IF_ERROR(
      CompareJsonFile(files, folder, "wbits_parse.json", [&](const Json& golden) {
        for (const Json& entry : golden.at("table")) {
          JsonComparison compare(summary, "wbits " + entry.at("text").dump());
          CompareWbits(entry, compare);
        }
      }));
  return CompareJsonFile(files, folder, "sanitize.json", [&](const Json& golden) {
    for (const Json& entry : golden.at("table")) {
      const auto name = entry.at("name").get<std::string>();
      JsonComparison(summary, "file name of " + entry.at("name").dump())
          .Equal("stem", NpzFileName(name), entry.at("stem").get<std::string>() + ".npz");
    }
  });
}

}  // namespace vlaserve
