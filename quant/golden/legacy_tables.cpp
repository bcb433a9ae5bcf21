#include "quant/golden/legacy_tables.h"

#include <charconv>
#include <cmath>
#include <string_view>
#include <vector>

#include <ATen/ATen.h>

#include "model/archive/torch_errors.h"
#include "model/io/json.h"
#include "quant/engine/quantile.h"
#include "quant/golden/tensor_compare.h"
#include "quant/transform/legacy_arithmetic.h"
#include "quant/transform/permutation.h"

namespace vlaserve {
namespace {

// PercentileCalibrator never lets a percentile fall below this.
constexpr double kCalibratorFloor = 1e-6;

Status Unreadable(const std::string& path, const std::string& name) {
  return Status(StatusCode::kUnreadable, path + ": " + name + ": not a name of this table");
}

// The number that all of `text` is.
template <typename T>
bool ParseNumber(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// q_T<rows>_p<percentile>: torch.quantile of x_T<rows>; cal_…: the reference's calibrator.
Status CheckQuantiles(FileSystem& files, const std::string& path, GoldenSummary& summary) {
  VLASERVE_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(files, path));
  for (const auto& [name, view] : file.tensors()) {
    if (name.starts_with("x_T")) continue;
    const bool calibrator = name.starts_with("cal_T");
    const size_t rows_at = name.find("_T") + 1;
    const size_t percentile_at = name.find("_p");
    double percentile = 0;
    if ((!calibrator && !name.starts_with("q_T")) || percentile_at == std::string::npos ||
        !ParseNumber(std::string_view(name).substr(percentile_at + 2), percentile)) {
      return Unreadable(path, name);
    }
    const TensorView* const x = file.Find("x_" + name.substr(rows_at, percentile_at - rows_at));
    if (x == nullptr || x->shape.size() != 2) return Unreadable(path, name);
    std::vector<float> values = x->ToFloats();
    for (float& value : values) value = std::abs(value);
    const std::vector<float> quantiles =
        ColumnQuantiles(values.data(), x->shape[0], x->shape[1], percentile);
    at::Tensor found = at::tensor(quantiles, at::TensorOptions(at::kFloat));
    if (calibrator) found = at::clamp_min(found, kCalibratorFloor);
    ++summary.cases;
    CaseComparison(summary, "quantile").Exact(name, found, ToTensor(view));
  }
  return Status::Ok();
}

// scale_<dtype>_w<bits>, deq_<dtype>_w<bits> of w_<dtype>.
Status CheckWeightScales(FileSystem& files, const std::string& path, GoldenSummary& summary) {
  VLASERVE_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(files, path));
  for (const auto& [name, view] : file.tensors()) {
    if (!name.starts_with("scale_")) continue;
    const size_t bits_at = name.rfind("_w");
    const std::string dtype = name.substr(6, bits_at - 6);
    int64_t bits = 0;
    const TensorView* const weight = file.Find("w_" + dtype);
    const TensorView* const dequantized = file.Find("deq_" + name.substr(6));
    if (weight == nullptr || dequantized == nullptr ||
        !ParseNumber(std::string_view(name).substr(bits_at + 2), bits)) {
      return Unreadable(path, name);
    }
    const at::Tensor w = ToTensor(*weight).to(dtype == "bf16" ? at::kBFloat16 : at::kFloat);
    const at::Tensor scales = LegacySearchScales(w, bits).scales;
    const at::Tensor per_row = scales.unsqueeze(1);
    ++summary.cases;
    CaseComparison compare(summary, "weight_scale_grid");
    compare.Exact(name, scales, ToTensor(view));
    compare.Exact("deq_" + name.substr(6), at::mul(LegacyCodes(w, per_row, bits), per_row),
                  ToTensor(*dequantized));
  }
  return Status::Ok();
}

// Entries {"energy", "perm"}. Columns of the same energy may change places.
Status CheckZigzag(FileSystem& files, const std::string& path, GoldenSummary& summary) {
  VLASERVE_ASSIGN_OR_RETURN(const nlohmann::json table, ReadJsonFile(files, path));
  try {
    for (size_t i = 0; i < table.size(); ++i) {
      const auto energy = table.at(i).at("energy").get<std::vector<double>>();
      const auto expected = table.at(i).at("perm").get<std::vector<size_t>>();
      // A weight of one row with these energies.
      std::vector<float> weight;
      for (const double value : energy) weight.push_back(static_cast<float>(std::sqrt(value)));
      const std::vector<int32_t> found =
          WeightZigzag(weight, 1, static_cast<int64_t>(weight.size()));
      ++summary.cases;
      CaseComparison compare(summary, "zigzag " + std::to_string(i));
      compare.Condition("perm", found.size() == expected.size(), "has another length");
      for (size_t c = 0; c < std::min(found.size(), expected.size()); ++c) {
        const auto column = static_cast<size_t>(found[c]);
        if (column == expected[c] || weight[column] == weight.at(expected[c])) continue;
        std::string difference = "[";
        difference += std::to_string(c) + "]: " + std::to_string(column) + ", expected " +
                      std::to_string(expected[c]);
        compare.Fail("perm", difference);
        break;
      }
    }
  } catch (const std::exception& error) {
    return TorchFailure(StatusCode::kUnreadable, path, error);
  }
  return Status::Ok();
}

}  // namespace

Status CheckLegacyTables(FileSystem& files, const std::string& folder, GoldenSummary& summary) {
  const std::string quantile = JoinPath(folder, "quantile.safetensors");
  const std::string scales = JoinPath(folder, "weight_scale_grid.safetensors");
  const std::string zigzag = JoinPath(folder, "zigzag.json");
  if (files.IsFile(quantile)) {
    VLASERVE_RETURN_IF_ERROR(CheckQuantiles(files, quantile, summary));
  }
  if (files.IsFile(scales)) VLASERVE_RETURN_IF_ERROR(CheckWeightScales(files, scales, summary));
  if (files.IsFile(zigzag)) VLASERVE_RETURN_IF_ERROR(CheckZigzag(files, zigzag, summary));
  return Status::Ok();
}

}  // namespace vlaserve
