// Writing, and the digest.

#include "quant/calibration/calibration.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <span>

#include <nlohmann/json.hpp>

#include "model/io/hash.h"
#include "quant/calibration/calibration_header.h"

namespace vlaserve {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "the file holds little-endian floats");

std::span<const std::byte> BytesOf(const std::vector<float>& values) {
  return std::as_bytes(std::span(values));
}

bool AllFinite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(),
                     [](float value) { return std::isfinite(value); });
}

Status CheckLayer(const std::string& name, const LayerCalibration& layer) {
  const auto error = [&](const std::string& message) {
    return Status(StatusCode::kInvalidArgument, "calibration of " + name + ": " + message);
  };
  if (layer.columns < 1 || layer.abs_max.size() != static_cast<size_t>(layer.columns)) {
    return error(std::to_string(layer.abs_max.size()) + " values of abs_max for " +
                 std::to_string(layer.columns) + " columns");
  }
  if (!AllFinite(layer.abs_max)) return error("abs_max holds NaN or Inf");
  for (size_t step = 0; step < layer.samples.size(); ++step) {
    const std::string what = "the samples of denoise step " + std::to_string(step);
    if (layer.samples[step].size() % static_cast<size_t>(layer.columns) != 0) {
      return error(what + ": " + std::to_string(layer.samples[step].size()) +
                   " values, not whole rows of " + std::to_string(layer.columns));
    }
    if (!AllFinite(layer.samples[step])) return error(what + " hold NaN or Inf");
  }
  return Status::Ok();
}

// True if every value survives in bfloat16.
bool FitsBf16(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(),
                     [](float value) { return (std::bit_cast<uint32_t>(value) & 0xFFFFU) == 0; });
}

std::vector<uint16_t> ToBf16(const std::vector<float>& values) {
  std::vector<uint16_t> halves(values.size());
  std::transform(values.begin(), values.end(), halves.begin(), [](float value) {
    return static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16U);
  });
  return halves;
}

int64_t RowsOf(const LayerCalibration& layer, size_t step) {
  return static_cast<int64_t>(layer.samples[step].size()) / layer.columns;
}

// What layers share, in the order of the file.
struct Inputs {
  std::vector<const LayerCalibration*> inputs;
  std::vector<std::string> sha256;  // as many
  std::map<std::string, size_t> layers;
};

Result<Inputs> CollectInputs(const Calibration& calibration) {
  Inputs result;
  std::map<std::string, size_t> known;  // by digest
  for (const auto& [name, layer] : calibration.layers) {
    VLASERVE_RETURN_IF_ERROR(CheckLayer(name, layer));
    const std::string sha256 = LayerCalibrationSha256(layer);
    const auto [found, is_new] = known.emplace(sha256, result.inputs.size());
    if (is_new) {
      result.inputs.push_back(&layer);
      result.sha256.push_back(sha256);
    }
    result.layers.emplace(name, found->second);
  }
  return result;
}

json HeaderOf(const Calibration& calibration, const Inputs& inputs) {
  json list = json::array();
  for (size_t i = 0; i < inputs.inputs.size(); ++i) {
    const LayerCalibration& input = *inputs.inputs[i];
    json rows = json::array();
    for (size_t step = 0; step < input.samples.size(); ++step) rows.push_back(RowsOf(input, step));
    list.push_back({{"columns", input.columns},
                    {"tokens", input.tokens},
                    {"rows", std::move(rows)},
                    {"sha256", inputs.sha256[i]}});
  }
  return {{"format", kCalibrationFormatVersion},
          {"archive_sha256", calibration.archive_sha256},
          {"num_steps", calibration.num_steps},
          {"observations", calibration.observations},
          {"seed", calibration.seed},
          {"inputs", std::move(list)},
          {"layers", inputs.layers}};
}

}  // namespace

std::string LayerCalibrationSha256(const LayerCalibration& layer) {
  std::string head =
      "columns " + std::to_string(layer.columns) + "\ntokens " + std::to_string(layer.tokens);
  head += "\nrows";
  for (size_t step = 0; step < layer.samples.size(); ++step) {
    head.append(" ").append(std::to_string(RowsOf(layer, step)));
  }
  head += "\n";
  Sha256 hash;
  hash.Update(std::as_bytes(std::span(head.data(), head.size())));
  hash.Update(BytesOf(layer.abs_max));
  for (const std::vector<float>& samples : layer.samples) hash.Update(BytesOf(samples));
  return hash.HexDigest();
}

Status WriteCalibration(FileSystem& files, const std::string& path,
                        const Calibration& calibration) {
  VLASERVE_ASSIGN_OR_RETURN(const Inputs inputs, CollectInputs(calibration));
  std::vector<SafetensorsWriter::Declaration> declarations;
  for (size_t i = 0; i < inputs.inputs.size(); ++i) {
    const LayerCalibration& input = *inputs.inputs[i];
    declarations.push_back({AbsMaxName(i), DType::kF32, {input.columns}});
    for (size_t step = 0; step < input.samples.size(); ++step) {
      const DType dtype = FitsBf16(input.samples[step]) ? DType::kBF16 : DType::kF32;
      declarations.push_back({SamplesName(i, step), dtype, {RowsOf(input, step), input.columns}});
    }
  }
  VLASERVE_ASSIGN_OR_RETURN(
      SafetensorsWriter writer,
      SafetensorsWriter::Create(files, path, std::move(declarations),
                                {{kCalibrationKey, HeaderOf(calibration, inputs).dump()}}));
  for (const LayerCalibration* input : inputs.inputs) {
    VLASERVE_RETURN_IF_ERROR(writer.Append(BytesOf(input->abs_max)));
    for (const std::vector<float>& samples : input->samples) {
      if (FitsBf16(samples)) {
        const std::vector<uint16_t> halves = ToBf16(samples);
        VLASERVE_RETURN_IF_ERROR(writer.Append(std::as_bytes(std::span(halves))));
      } else {
        VLASERVE_RETURN_IF_ERROR(writer.Append(BytesOf(samples)));
      }
    }
  }
  return writer.Finish();
}

}  // namespace vlaserve
