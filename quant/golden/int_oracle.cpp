#include "quant/golden/int_oracle.h"

#include <cstdlib>
#include <string_view>
#include <vector>

#include "kernels/quantize.h"
#include "kernels/transform.h"
#include "model/io/json.h"
#include "quant/golden/comparison.h"
#include "quant/golden/int_oracle_case.h"

namespace vlaserve {
namespace {

constexpr std::string_view kExtension = ".safetensors";

// {"in_64": …, "out_64": …} for some block sizes.
Status CheckHadamard(const SafetensorsFile& file, GoldenSummary& summary) {
  GoldenComparison golden(file, summary);
  for (const auto& [name, tensor] : file.tensors()) {
    if (!name.starts_with("in_")) continue;
    const std::string size = name.substr(3);
    const int64_t block = size.find_first_not_of("0123456789") == std::string::npos
                              ? std::strtoll(size.c_str(), nullptr, 10)
                              : 0;
    if (block < 1 || (block & (block - 1)) != 0 || tensor.shape.size() != 2 ||
        tensor.shape[1] % block != 0) {
      return Status(StatusCode::kUnreadable,
                    file.path() + ": " + name + " " + ShapeToString(tensor.shape) +
                        ", expected rows of whole blocks and their size in the name");
    }
    golden.BeginCase("hadamard " + size);
    std::vector<float> rows = golden.Input(name)->ToFloats();
    HadamardRows(rows.data(), tensor.shape[0], tensor.shape[1], block);
    if (!golden.Floats("out_" + size, rows, tensor.shape)) {
      golden.Fail("out_" + size, "not in the file");
    }
  }
  golden.FailUnused();
  return Status::Ok();
}

Status CheckConstants(const SafetensorsFile& file, GoldenSummary& summary) {
  GoldenComparison golden(file, summary);
  golden.BeginCase("constants");
  golden.Floats("ratio", ClipRatios(), {std::ssize(ClipRatios())});
  if (const TensorView* const values = golden.Input("f32_in"); values != nullptr) {
    std::vector<float> rounded = values->ToFloats();
    for (float& value : rounded) value = FloatFromFp16(Fp16FromFloat(value));
    golden.Floats("f16_out", rounded, values->shape);
  }
  golden.FailUnused();
  return Status::Ok();
}

Status CheckFile(FileSystem& files, const std::string& path, std::string_view name,
                 GoldenSummary& summary) {
  VLASERVE_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(files, path));
  if (name == "hadamard.safetensors") return CheckHadamard(file, summary);
  if (name == "constants.safetensors") return CheckConstants(file, summary);
  const auto info = file.metadata().find("info");
  if (info == file.metadata().end()) {
    return Status(StatusCode::kUnreadable, path + ": no \"info\" in the metadata");
  }
  VLASERVE_ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(info->second, path + ": info"));
  return CheckIntOracleCase(file, json, summary);
}

}  // namespace

Result<GoldenSummary> CheckIntOracle(FileSystem& files, const std::string& folder) {
  VLASERVE_ASSIGN_OR_RETURN(const std::vector<std::string> names, files.List(folder));
  GoldenSummary summary;
  for (const std::string& name : names) {
    if (!name.ends_with(kExtension)) continue;
    VLASERVE_RETURN_IF_ERROR(CheckFile(files, JoinPath(folder, name), name, summary));
  }
  return summary;
}

}  // namespace vlaserve
