// Renderings of a CheckReport.

#include <cmath>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "model/policy/check.h"

namespace vlaserve {
namespace {

using nlohmann::json;

std::string Scientific(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

json Number(double value) { return std::isfinite(value) ? json(value) : json("inf"); }

json ToJson(const Comparison& comparison) {
  return {{"name", comparison.name},
          {"max_abs_diff", Number(comparison.max_abs_diff)},
          {"mean_abs_diff", Number(comparison.mean_abs_diff)},
          {"reference_abs_max", Number(comparison.reference_abs_max)},
          {"passed", comparison.passed}};
}

std::string Verdict(const CheckReport& report) {
  if (report.cases == 0) return "FAILED: no case ran\n";
  size_t failed = 0;
  for (const Comparison& comparison : report.comparisons) failed += comparison.passed ? 0 : 1;
  return (failed == 0 ? "passed: " : "FAILED: ") +
         std::to_string(report.comparisons.size() - failed) + " of " +
         std::to_string(report.comparisons.size()) + " comparisons within max " +
         Scientific(report.tolerance.max) + ", mean " + Scientific(report.tolerance.mean) + "\n";
}

std::string Departure(const CheckReport& report) {
  if (!report.intermediates_missing.empty()) {
    return "no intermediates: " + report.intermediates_missing + "\n";
  }
  if (report.intermediates.empty()) return "";
  const Comparison* first = report.FirstDeparture();
  if (first == nullptr) {
    return "none of " + std::to_string(report.intermediates.size()) +
           " intermediates departs with all exact savings off: look at the savings\n";
  }
  return "first intermediate that departs: " + first->name + ", max " +
         Scientific(first->max_abs_diff) + ", mean " + Scientific(first->mean_abs_diff) +
         ", largest reference value " + Scientific(first->reference_abs_max) + "\n";
}

}  // namespace

std::string CheckReportText(const CheckReport& report) {
  std::string text = report.folder + ": " + std::to_string(report.cases) +
                     " cases run, reference " + report.reference + "\n";
  for (const Comparison& comparison : report.comparisons) {
    text += "  " + comparison.name + ": max " + Scientific(comparison.max_abs_diff) + ", mean " +
            Scientific(comparison.mean_abs_diff) + (comparison.passed ? "" : "  FAILED") + "\n";
  }
  return text + Departure(report) + Verdict(report);
}

json CheckReportJson(const CheckReport& report) {
  json comparisons = json::array();
  for (const Comparison& comparison : report.comparisons) {
    comparisons.push_back(ToJson(comparison));
  }
  json result = {{"golden", report.folder},
                 {"reference", report.reference},
                 {"tolerance", report.tolerance.max},
                 {"mean_tolerance", report.tolerance.mean},
                 {"cases", report.cases},
                 {"passed", report.passed()},
                 {"comparisons", std::move(comparisons)}};
  if (!report.intermediates.empty()) {
    const Comparison* first = report.FirstDeparture();
    result["first_departure"] = first == nullptr ? json(nullptr) : ToJson(*first);
    json intermediates = json::array();
    for (const Comparison& comparison : report.intermediates) {
      intermediates.push_back(ToJson(comparison));
    }
    result["intermediates"] = std::move(intermediates);
  } else if (!report.intermediates_missing.empty()) {
    result["intermediates_missing"] = report.intermediates_missing;
  }
  return result;
}

}  // namespace vlaserve
