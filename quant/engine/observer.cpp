#include "quant/engine/observer.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

namespace vlaserve {
namespace {

// The reference's columns; a wider entry pushes the rest to the right.
std::string TableLine(std::string_view label, const std::array<std::string, 5>& numbers) {
  constexpr std::array<size_t, 5> kWidths = {8, 12, 10, 14, 10};
  std::string line(label);
  line.resize(std::max<size_t>(line.size(), 28), ' ');
  for (size_t i = 0; i < numbers.size(); ++i) {
    line += ' ';
    if (numbers[i].size() < kWidths[i]) line.append(kWidths[i] - numbers[i].size(), ' ');
    line += numbers[i];
  }
  return line;
}

std::string Fixed(double value, int digits) {
  std::array<char, 400> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

std::string RowLine(const std::string& label, const ProfileRow& row) {
  const double average = row.calls > 0 ? row.seconds / static_cast<double>(row.calls) : 0;
  const double rate = row.seconds > 0 ? static_cast<double>(row.bytes) / row.seconds / 1e9 : 0;
  return TableLine(label, {std::to_string(row.calls), Fixed(row.seconds * 1000, 2),
                           Fixed(average * 1000, 3), std::to_string(row.elements), Fixed(rate, 2)});
}

// A Python tuple: "(1, 5, 16)", "(5,)".
std::string Tuple(std::span<const int64_t> shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  if (shape.size() == 1) text += ",";
  text += ")";
  return text;
}

}  // namespace

std::vector<std::string> FormatProfileTable(std::string_view title, const ProfileRows& rows) {
  if (rows.empty()) return {};
  const std::string frame(100, '=');
  const std::string header = TableLine("Label", {"Calls", "Total ms", "Avg ms", "Elems", "GB/s"});
  std::vector<std::string> lines = {frame, std::string(title), header,
                                    std::string(header.size(), '-')};
  for (const auto& [label, row] : rows) lines.push_back(RowLine(label, row));
  lines.push_back(frame);
  return lines;
}

std::vector<std::string> PolicyProfileTable(const ProfileRow& policy_infer,
                                            std::string_view context) {
  if (policy_infer.calls == 0) return {};
  std::string title = "[POLICY][PROFILE] inference summary";
  title += context;
  return FormatProfileTable(title, {{"policy_infer", policy_infer}});
}

EngineObserver::EngineObserver(Options options) : options_(std::move(options)) {}

void EngineObserver::LogCached(const CachedLayer& layer) const {
  if (!options_.debug) return;
  std::string start = "[DUQUANT][CACHE] ";
  start += layer.name;
  std::string line = start + " device=cpu dtype=torch.";
  line += layer.dtype;
  line += " Wbits=" + std::to_string(layer.weight_bits);
  line += " Abits=" + std::to_string(layer.activation_bits);
  line += " block_in=" + std::to_string(layer.block);
  line += layer.permuted ? " permute=True" : " permute=False";
  line += " row_rot=";
  line += layer.row_rotation;
  options_.log(line);
  if (layer.weights_prequantized) options_.log(start + " pre-quantized weights cached");
}

void EngineObserver::LogForwarded(const ForwardedLayer& layer) const {
  if (!options_.debug) return;
  std::string line = "[DUQUANT][FORWARD] ";
  line += layer.name;
  line += " input=" + Tuple(layer.input_shape) + " output=" + Tuple(layer.output_shape);
  line += " weight_bits=" + std::to_string(layer.weight_bits);
  line += " act_bits=" + std::to_string(layer.activation_bits);
  options_.log(line);
}

void EngineObserver::Record(std::string_view label, double seconds, int64_t elements,
                            int64_t bytes) {
  if (!options_.profile) return;
  auto row = rows_.find(label);
  if (row == rows_.end()) row = rows_.emplace(std::string(label), ProfileRow{}).first;
  row->second.calls += 1;
  row->second.seconds += seconds;
  row->second.elements += elements;
  row->second.bytes += bytes;
}

std::vector<std::string> EngineObserver::ProfileTable(std::string_view context) const {
  std::string title = "[DUQUANT][PROFILE] fake quantization summary (cuda_sync=";
  title += options_.cuda_sync ? "on)" : "off)";
  title += context;
  return FormatProfileTable(title, rows_);
}

void EngineObserver::ResetProfile() { rows_.clear(); }

}  // namespace vlaserve
