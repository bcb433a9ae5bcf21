#include "quant/golden/legacy.h"

#include <cmath>
#include <exception>
#include <vector>

#include "model/archive/torch_errors.h"
#include "model/io/json.h"
#include "quant/golden/legacy_checks.h"
#include "quant/golden/legacy_tables.h"
#include "quant/pack/legacy_packer.h"

namespace vlaserve {
namespace {

// Energies that are nearer to each other leave the order of columns open.
constexpr double kEnergyGap = 1e-5;
constexpr double kLargestRatio = 2;
constexpr double kLargestMeanDeviation = 0.15;
// A mean over fewer files says nothing: single ones are allowed a factor of 2.
constexpr int64_t kFewestFilesForMean = 10;

std::string Text(double value) { return std::to_string(value); }

// Whether the permutation of a layer is determined, by index.json.
bool PermutationDetermined(const nlohmann::json& index, const std::string& layer) {
  const nlohmann::json::json_pointer gap("/layers/" + layer + "/energy_min_relative_gap");
  return index.contains(gap) && index.at(gap).is_number() &&
         index.at(gap).get<double>() > kEnergyGap;
}

// A pack of other blocks than configured must not go unnoticed.
void CompareOverrideNote(const LegacyCase& golden, CaseComparison& compare) {
  const TransformSettings transform = golden.Request(/*import=*/true).settings.transform;
  const NpzPack& npz = golden.npz();
  const bool same = npz.block == transform.block && npz.block_out == transform.block_out &&
                    npz.permutation.empty() == (transform.permute == Permute::kOff);
  compare.Condition("pack", NpzOverrideNote(golden.id(), transform, npz).empty() == same,
                    "the note on a pack of other settings is wrong");
}

Status CompareCase(LegacyCase& golden, bool same_permutation, CaseComparison& compare,
                   std::vector<OwnTransformsResult>& own) {
  CompareFromStored(golden, compare);
  VLASERVE_RETURN_IF_ERROR(CompareWithImportedPack(golden, compare));
  VLASERVE_RETURN_IF_ERROR(CompareInplaceBug(golden, compare));
  CompareOverrideNote(golden, compare);
  VLASERVE_ASSIGN_OR_RETURN(OwnTransformsResult result,
                            CompareWithOwnTransforms(golden, same_permutation, compare));
  own.push_back(std::move(result));
  for (const std::string& tensor : golden.Unused()) {
    compare.Fail(tensor, "a tensor that no comparison knows");
  }
  return Status::Ok();
}

// "NMSE per file within a factor 2, geometric mean over all 4-bit files within 15 %".
void CompareOwnErrors(const std::vector<OwnTransformsResult>& own, GoldenSummary& summary) {
  double logarithms = 0;
  int64_t count = 0;
  for (const OwnTransformsResult& result : own) {
    // NaN on both sides is a case that is about NaN.
    const bool nan = std::isnan(result.nmse_ratio);
    if (!nan) {
      CaseComparison(summary, result.case_id)
          .Condition("NMSE with own transforms",
                     result.nmse_ratio <= kLargestRatio && result.nmse_ratio >= 1 / kLargestRatio,
                     Text(result.nmse_ratio) + " of the reference's");
    }
    if (nan || !result.four_bits) continue;
    logarithms += std::log(result.nmse_ratio);
    ++count;
  }
  if (count < kFewestFilesForMean) return;
  const double mean = std::exp(logarithms / static_cast<double>(count));
  CaseComparison(summary, "all 4-bit files")
      .Condition("NMSE with own transforms", std::abs(mean - 1) <= kLargestMeanDeviation,
                 "geometric mean " + Text(mean) + " of the reference's");
}

}  // namespace

Result<GoldenSummary> CheckLegacy(FileSystem& files, const std::string& folder) {
  GoldenSummary summary;
  nlohmann::json index = nlohmann::json::object();
  const std::string index_path = JoinPath(folder, "index.json");
  if (files.IsFile(index_path)) {
    VLASERVE_ASSIGN_OR_RETURN(index, ReadJsonFile(files, index_path));
  }
  VLASERVE_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                            files.List(JoinPath(folder, "cases")));
  std::vector<OwnTransformsResult> own;
  for (const std::string& name : names) {
    if (!name.ends_with(".safetensors")) continue;
    VLASERVE_ASSIGN_OR_RETURN(LegacyCase golden, LegacyCase::Read(files, folder, "cases/" + name));
    ++summary.cases;
    CaseComparison compare(summary, golden.id());
    try {
      const Status status =
          CompareCase(golden, PermutationDetermined(index, golden.layer()), compare, own);
      if (!status.ok()) compare.Fail("", status.message());
    } catch (const std::exception& error) {
      compare.Fail("", TorchMessage(error));
    }
  }
  VLASERVE_RETURN_IF_ERROR(CheckLegacyTables(files, folder, summary));
  CompareOwnErrors(own, summary);
  return summary;
}

}  // namespace vlaserve
