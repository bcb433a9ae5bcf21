#include "server/cli/layers_report.h"

#include <algorithm>
#include <array>
#include <sstream>
#include <vector>

#include <nlohmann/json.hpp>

#include "quant/config/spellings.h"
#include "quant/select/layer_bytes.h"

namespace vlaserve {
namespace {

using Json = nlohmann::ordered_json;

void Add(const LayerBytes& bytes, LayerBytes& total) {
  total.bfloat16 += bytes.bfloat16;
  total.packed += bytes.packed;
}

void AddBytes(const LayerBytes& bytes, Json& json) {
  json["bytes_bfloat16"] = bytes.bfloat16;
  json["bytes_packed"] = bytes.packed;
  json["bytes_saved"] = bytes.bfloat16 - bytes.packed;
}

Json LayerJson(const SelectedLayer& layer, const LayerBytes& bytes) {
  const auto& [weight, activation, transform] = layer.settings;
  Json json = {{"name", layer.linear.name},
               {"site", layer.site},
               {"group", layer.group},
               {"in", layer.linear.in_features},
               {"out", layer.linear.out_features},
               {"weight",
                {{"bits", weight.bits},
                 {"group", weight.group},
                 {"symmetric", weight.symmetric},
                 {"rounding", Spelling(kWeightRoundingSpellings, weight.rounding)}}},
               {"act",
                {{"bits", activation.bits},
                 {"mode", Spelling(kActivationModeSpellings, activation.mode)},
                 {"group", activation.group}}},
               {"transform",
                {{"smooth", Spelling(kSmoothModeSpellings, transform.smooth)},
                 {"permute", Spelling(kPermuteSpellings, transform.permute)},
                 {"rotate_in", Spelling(kRotateInSpellings, transform.rotate_in)},
                 {"block", transform.block},
                 {"rotate_out", Spelling(kRotateOutSpellings, transform.rotate_out)},
                 {"block_out", transform.block_out}}}};
  AddBytes(bytes, json);
  return json;
}

// "4 g128", "8 row", "-" if nothing is quantized.
std::string WeightText(const WeightSettings& weight) {
  if (weight.bits == 0) return "-";
  return std::to_string(weight.bits) +
         (weight.group == 0 ? " row" : " g" + std::to_string(weight.group));
}

std::string ActivationText(const ActivationSettings& activation) {
  if (activation.bits == 0) return "-";
  std::string text = std::to_string(activation.bits);
  text.append(" ").append(Spelling(kActivationModeSpellings, activation.mode));
  if (activation.mode == ActivationMode::kDynamicTokenGroup) {
    text.append(" g").append(std::to_string(activation.group));
  }
  return text;
}

// "weight_zigzag, weight_svd 16, restore 16", "-" if there are none.
std::string TransformText(const TransformSettings& transform) {
  std::string text;
  const auto add = [&](std::string_view word, int64_t block) {
    text.append(text.empty() ? "" : ", ").append(word);
    if (block != 0) text.append(" ").append(std::to_string(block));
  };
  if (transform.smooth != SmoothMode::kOff) add("smooth", 0);
  if (transform.permute != Permute::kOff) add(Spelling(kPermuteSpellings, transform.permute), 0);
  if (transform.rotate_in != RotateIn::kOff) {
    add(Spelling(kRotateInSpellings, transform.rotate_in), transform.block);
  }
  if (transform.rotate_out != RotateOut::kOff) {
    add(Spelling(kRotateOutSpellings, transform.rotate_out), transform.block_out);
  }
  return text.empty() ? "-" : text;
}

using Row = std::array<std::string, 10>;

Row RowOf(const SelectedLayer& layer, const LayerBytes& bytes) {
  std::ostringstream shape;
  shape << layer.linear.out_features << " x " << layer.linear.in_features;
  return {layer.linear.name,
          layer.site,
          layer.group.empty() ? "-" : layer.group,
          shape.str(),
          WeightText(layer.settings.weight),
          ActivationText(layer.settings.activation),
          TransformText(layer.settings.transform),
          std::to_string(bytes.bfloat16),
          std::to_string(bytes.packed),
          std::to_string(bytes.bfloat16 - bytes.packed)};
}

constexpr size_t kFirstNumber = 7;

std::string Text(const std::vector<Row>& rows) {
  std::array<size_t, std::tuple_size_v<Row>> widths{};
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - row[i].size(), ' ');
      if (i > 0) text += "  ";
      text += i >= kFirstNumber ? padding + row[i] : row[i] + padding;
    }
    text += '\n';
  }
  return text;
}

}  // namespace

std::string LayersJson(int64_t linears, const QuantConfig& config, const Selection& selection) {
  Json root = {{"engine", Spelling(kEngineSpellings, config.engine)},
               {"preset", config.preset},
               {"linears", linears},
               {"matched", selection.matched},
               {"layers", Json::array()}};
  LayerBytes total;
  for (const SelectedLayer& layer : selection.layers) {
    const LayerBytes bytes = BytesOf(layer, config.engine);
    Add(bytes, total);
    root["layers"].push_back(LayerJson(layer, bytes));
  }
  root["totals"]["layers"] = selection.layers.size();
  AddBytes(total, root["totals"]);
  return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string LayersTable(const QuantConfig& config, const Selection& selection) {
  std::vector<Row> rows = {{"layer", "site", "group", "out x in", "weight bits", "act bits",
                            "transforms", "bfloat16 bytes", "packed bytes", "saved bytes"}};
  LayerBytes total;
  for (const SelectedLayer& layer : selection.layers) {
    const LayerBytes bytes = BytesOf(layer, config.engine);
    Add(bytes, total);
    rows.push_back(RowOf(layer, bytes));
  }
  Row last{};
  last[0] = "total: " + std::to_string(selection.layers.size()) + " layers";
  last[kFirstNumber] = std::to_string(total.bfloat16);
  last[kFirstNumber + 1] = std::to_string(total.packed);
  last[kFirstNumber + 2] = std::to_string(total.bfloat16 - total.packed);
  rows.push_back(std::move(last));
  return Text(rows);
}

}  // namespace vlaserve
