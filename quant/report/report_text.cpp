#include "quant/report/report_text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string_view>

#include <nlohmann/json.hpp>

#include "quant/config/spellings.h"

namespace vlaserve {
namespace {

using nlohmann::json;

std::string Scientific(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

std::string Cosine(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6f", value);
  return text;
}

// `text` in a column of `width` characters: names to the left, numbers to the right.
std::string Left(std::string text, size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text;
}
std::string Right(const std::string& text, size_t width) {
  return std::string(width > text.size() ? width - text.size() : 0, ' ') + text;
}

json Number(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

// "W4 A8", as in the [DUQUANT] lines.
std::string Bits(const LayerSettings& settings) {
  return std::string("W")
      .append(std::to_string(settings.weight.bits))
      .append(" A")
      .append(std::to_string(settings.activation.bits));
}

json ChunksJson(const std::vector<ChunkComparison>& chunks) {
  json list = json::array();
  for (const ChunkComparison& chunk : chunks) {
    list.push_back({{"name", chunk.name},
                    {"max_abs_diff", Number(chunk.max_abs_diff)},
                    {"mean_abs_diff", Number(chunk.mean_abs_diff)},
                    {"cosine", Number(chunk.cosine)}});
  }
  return list;
}

json LayerJson(const LayerReport& layer) {
  const LayerSettings& settings = layer.info.layer.settings;
  json result = {{"name", layer.name()},
                 {"group", layer.info.layer.group},
                 {"site", layer.info.layer.site},
                 {"in_features", layer.info.layer.linear.in_features},
                 {"out_features", layer.info.layer.linear.out_features},
                 {"weight_bits", settings.weight.bits},
                 {"activation_bits", settings.activation.bits},
                 {"source_bytes", layer.info.source_bytes},
                 {"pack_bytes", layer.info.pack_bytes},
                 {"weight_nmse", Number(layer.weight_nmse)},
                 {"was_run", layer.was_run}};
  if (layer.was_run) {
    result["output_nmse"] = Number(layer.output_nmse);
    result["output_cosine"] = Number(layer.output_cosine);
    result["output_max_abs_diff"] = Number(layer.output_max_abs_diff);
  }
  return result;
}

std::string LayerLine(const LayerReport& layer, size_t name_width) {
  std::string line = Left(layer.name(), name_width) + "  " +
                     Left(Bits(layer.info.layer.settings), 7) +
                     Right(Scientific(layer.weight_nmse), 13);
  if (!layer.was_run) return line + "  not reached by these observations\n";
  return line + Right(Scientific(layer.output_nmse), 13) + Right(Cosine(layer.output_cosine), 11) +
         Right(Scientific(layer.output_max_abs_diff), 12) + "\n";
}

std::string LayerTable(const QuantReport& report, size_t top) {
  const size_t count = top == 0 ? report.layers.size() : std::min(top, report.layers.size());
  size_t width = 5;
  for (size_t i = 0; i < count; ++i) width = std::max(width, report.layers[i].name().size());
  std::string text = Left("layer", width) + "  " + Left("bits", 7) + Right("weight NMSE", 13) +
                     Right("output NMSE", 13) + Right("cosine", 11) + Right("max |diff|", 12) +
                     "\n";
  for (size_t i = 0; i < count; ++i) text += LayerLine(report.layers[i], width);
  if (count < report.layers.size()) {
    text.append("… and ").append(std::to_string(report.layers.size() - count));
    text += " better ones\n";
  }
  return text;
}

std::string ChunkTable(const std::vector<ChunkComparison>& chunks) {
  size_t width = 11;
  for (const ChunkComparison& chunk : chunks) width = std::max(width, chunk.name.size());
  std::string text = Left("observation", width) + Right("max |diff|", 12) +
                     Right("mean |diff|", 13) + Right("cosine", 11) + "\n";
  for (const ChunkComparison& chunk : chunks) {
    text += Left(chunk.name, width) + Right(Scientific(chunk.max_abs_diff), 12) +
            Right(Scientific(chunk.mean_abs_diff), 13) + Right(Cosine(chunk.cosine), 11) + "\n";
  }
  return text;
}

std::string Notes(const QuantSummary& summary) {
  std::string text;
  for (const std::string& note : summary.notes) text += "note: " + note + "\n";
  for (const std::string& warning : summary.warnings) text += "warning: " + warning + "\n";
  return text;
}

}  // namespace

std::string EquivalenceText(const EquivalenceReport& report) {
  std::string text = Notes(report.summary) + ChunkTable(report.chunks);
  double largest = 0;
  for (const ChunkComparison& chunk : report.chunks) {
    largest = std::max(largest, chunk.max_abs_diff);
  }
  return text + (report.passed() ? "passed: " : "FAILED: ") +
         std::to_string(report.summary.layers.size()) + " layers transformed, " +
         std::to_string(report.chunks.size()) + " chunks, largest difference from float " +
         Scientific(largest) + ", tolerance " + Scientific(report.tolerance) + "\n";
}

json EquivalenceJson(const EquivalenceReport& report) {
  return {{"passed", report.passed()},
          {"tolerance", report.tolerance},
          {"layers", report.summary.layers.size()},
          {"notes", report.summary.notes},
          {"warnings", report.summary.warnings},
          {"chunks", ChunksJson(report.chunks)}};
}

std::string QuantReportText(const QuantReport& report, size_t top) {
  const ChunkSummary& chunks = report.chunk_summary;
  return Notes(report.summary) + "preset " + report.summary.preset + ", engine " +
         std::string(Spelling(kEngineSpellings, report.summary.engine)) + ", " +
         std::to_string(report.layers.size()) + " layers\n\n" + LayerTable(report, top) + "\n" +
         ChunkTable(report.chunks) + "\nchunks against float: max |diff| " +
         Scientific(chunks.max_abs_diff) + ", mean |diff| " + Scientific(chunks.mean_abs_diff) +
         ", cosine mean " + Cosine(chunks.cosine_mean) + ", median " +
         Cosine(chunks.cosine_median) + ", min " + Cosine(chunks.cosine_min) + "\n";
}

json QuantReportJson(const QuantReport& report) {
  json layers = json::array();
  for (const LayerReport& layer : report.layers) layers.push_back(LayerJson(layer));
  const ChunkSummary& chunks = report.chunk_summary;
  return {{"archive", report.archive},
          {"archive_sha256", report.archive_sha256},
          {"preset", report.summary.preset},
          {"engine", Spelling(kEngineSpellings, report.summary.engine)},
          {"linears", report.summary.linears},
          {"notes", report.summary.notes},
          {"warnings", report.summary.warnings},
          {"layers", std::move(layers)},
          {"chunks", ChunksJson(report.chunks)},
          {"chunk_summary",
           {{"max_abs_diff", Number(chunks.max_abs_diff)},
            {"mean_abs_diff", Number(chunks.mean_abs_diff)},
            {"cosine_mean", Number(chunks.cosine_mean)},
            {"cosine_median", Number(chunks.cosine_median)},
            {"cosine_min", Number(chunks.cosine_min)}}}};
}

}  // namespace vlaserve
