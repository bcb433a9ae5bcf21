#include "server/cli/kernel_bench_report.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "model/policy/runtime.h"

namespace vlaserve {
namespace {

using Json = nlohmann::ordered_json;

// "AMD EPYC 9354", where the system tells.
std::string ProcessorName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

std::string_view ArithmeticName(Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::kInteger:
      return "integer";
    case Arithmetic::kFloat32:
      return "float32";
    case Arithmetic::kBFloat16:
      return "bfloat16";
  }
  return "";
}

bool IsOurs(const ContenderResult& contender) {
  return contender.name.starts_with("w4_") || contender.name.starts_with("w8_") ||
         contender.name.starts_with("kernel_");
}

// Seconds of LibTorch's fastest with this arithmetic; 0: none was measured.
double BaselineSeconds(const CaseResult& result, Arithmetic arithmetic) {
  double best = 0;
  for (const ContenderResult& contender : result.contenders) {
    if (contender.arithmetic != arithmetic || contender.rounds == 0 || IsOurs(contender)) continue;
    if (best == 0 || contender.best_seconds < best) best = contender.best_seconds;
  }
  return best;
}

// What a contender's time means; a figure of 0 is not known.
struct Figures {
  double rate = 0;         // operations per second
  double of_peak = 0;      // rate / peak of its arithmetic
  double of_memory = 0;    // bytes of weights per second / memory's
  double to_float32 = 0;   // how many times as fast
  double to_bfloat16 = 0;  // the same
};

double PeakOf(Arithmetic arithmetic, const Peaks& peaks) {
  switch (arithmetic) {
    case Arithmetic::kInteger:
      return peaks.integer;
    case Arithmetic::kFloat32:
      return peaks.float32;
    case Arithmetic::kBFloat16:
      break;
  }
  return 0;
}

double Ratio(double value, double to) { return to == 0 ? 0 : value / to; }

Figures FiguresOf(const ContenderResult& contender, const CaseResult& result, const Peaks& peaks) {
  const double seconds = contender.best_seconds;
  if (contender.rounds == 0) return {};
  Figures figures;
  figures.rate = contender.operations / seconds;
  figures.of_peak = Ratio(figures.rate, PeakOf(contender.arithmetic, peaks));
  figures.of_memory = Ratio(contender.weight_bytes / seconds, peaks.memory);
  figures.to_float32 = BaselineSeconds(result, Arithmetic::kFloat32) / seconds;
  figures.to_bfloat16 = BaselineSeconds(result, Arithmetic::kBFloat16) / seconds;
  return figures;
}

// "12.3", or "-" for what is not known.
std::string Number(double value, int digits) {
  if (value == 0) return "-";
  char text[32];
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}

std::string Billions(double value) { return Number(value * 1e-9, value < 1e10 ? 1 : 0); }
std::string Percent(double value) { return Number(value * 100, 0); }
std::string Times(double value) { return Number(value, 2); }

std::string Error(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.5f", value);
  return text;
}

Json Known(double value) { return value == 0 ? Json(nullptr) : Json(value); }

Json ContenderJson(const ContenderResult& contender, const CaseResult& result, const Peaks& peaks) {
  Json json{{"name", contender.name}, {"arithmetic", ArithmeticName(contender.arithmetic)}};
  if (contender.rounds == 0) {
    json["missing"] = contender.missing;
    return json;
  }
  const Figures figures = FiguresOf(contender, result, peaks);
  json["rounds"] = contender.rounds;
  json["best_ms"] = contender.best_seconds * 1e3;
  json["median_ms"] = contender.median_seconds * 1e3;
  json["gops"] = figures.rate * 1e-9;
  json["weight_bytes"] = static_cast<int64_t>(contender.weight_bytes);
  json["of_peak"] = Known(figures.of_peak);
  json["of_memory"] = Known(figures.of_memory);
  json["to_float32"] = Known(figures.to_float32);
  json["to_bfloat16"] = Known(figures.to_bfloat16);
  json["error"] = contender.error;
  return json;
}

// Rows of cells; the columns behind the first are aligned to the right.
class Table {
 public:
  void Add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

  std::string Text() const {
    std::vector<size_t> widths;
    for (const auto& row : rows_) {
      widths.resize(std::max(widths.size(), row.size()));
      for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    std::string text;
    for (const auto& row : rows_) {
      std::string line = "  " + row[0];
      size_t end = 2 + widths[0];
      for (size_t i = 1; i < row.size(); ++i) {
        end += 2 + widths[i];
        line.resize(end - row[i].size(), ' ');
        line += row[i];
      }
      text += line + "\n";
    }
    return text;
  }

  std::string Markdown() const {
    std::string text;
    for (size_t r = 0; r < rows_.size(); ++r) {
      for (const std::string& cell : rows_[r]) text += "| " + cell + " ";
      text += "|\n";
      if (r > 0) continue;
      for (size_t i = 0; i < rows_[r].size(); ++i) text += i == 0 ? "|---" : "|---:";
      text += "|\n";
    }
    return text;
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

std::string CaseTitle(const CaseResult& result) {
  return result.shape.name + " (" + SizesText(result.shape) + "), " + std::to_string(result.rows) +
         " rows";
}

std::string Summary(const KernelBenchReport& report) {
  const Peaks& peaks = report.peaks;
  std::string text = ProcessorName() + ", " + std::to_string(report.threads) +
                     (report.threads == 1 ? " thread" : " threads") + ", instruction set " +
                     std::string(IsaName(report.isa)) + ", LibTorch " + LibtorchVersion() +
                     "; measured peaks: ";
  if (peaks.integer > 0) {
    text += Billions(peaks.integer) + " GOP/s of integers (" + peaks.integer_instructions + "), ";
  }
  if (peaks.float32 > 0) {
    text += Billions(peaks.float32) + " GOP/s of float32 (" + peaks.float32_instructions + "), ";
  }
  return text + Billions(peaks.memory) + " GB/s of memory";
}

const ContenderResult* Find(const CaseResult& result, std::string_view name) {
  for (const ContenderResult& contender : result.contenders) {
    if (contender.name == name && contender.rounds > 0) return &contender;
  }
  return nullptr;
}

// GOP/s of a contender, "-" without it.
std::string RateOf(const CaseResult& result, std::string_view name) {
  const ContenderResult* contender = Find(result, name);
  return contender == nullptr ? "-" : Billions(contender->operations / contender->best_seconds);
}

std::string BaselineRate(const CaseResult& result, Arithmetic arithmetic) {
  const double seconds = BaselineSeconds(result, arithmetic);
  return seconds == 0 ? "-" : Billions(result.contenders.front().operations / seconds);
}

// The first cells of a line of Markdown.
std::vector<std::string> CaseCells(const CaseResult& result) {
  return {result.shape.name + " (" + SizesText(result.shape) + ")", std::to_string(result.rows)};
}

// The ratios of `name`, after LibTorch's rates.
void AddBaselines(const CaseResult& result, std::string_view name, const Peaks& peaks,
                  std::vector<std::string>& cells) {
  const ContenderResult* contender = Find(result, name);
  const Figures figures = contender == nullptr ? Figures() : FiguresOf(*contender, result, peaks);
  cells.insert(cells.end(), {BaselineRate(result, Arithmetic::kFloat32),
                             BaselineRate(result, Arithmetic::kBFloat16), Times(figures.to_float32),
                             Times(figures.to_bfloat16)});
}

std::string LinearMarkdown(const KernelBenchReport& report) {
  Table table;
  table.Add({"linear, GOP/s", "rows", "W4A8 per row, GEMM alone", "% of peak", "% of memory",
             "with Hadamard + quantization", "group 128, the same", "W8A8, the same", "float32",
             "bfloat16", "× float32", "× bfloat16"});
  size_t rows = 0;
  for (const CaseResult& result : report.cases) {
    if (!std::holds_alternative<LinearShape>(result.shape.sizes)) continue;
    ++rows;
    const ContenderResult* gemm = Find(result, "w4_row");
    const Figures figures = gemm == nullptr ? Figures() : FiguresOf(*gemm, result, report.peaks);
    // Where 64 does not divide the columns, there is no Hadamard rotation.
    const bool rotated = Find(result, "w4_row+hadamard64") != nullptr;
    const std::string pass = rotated ? "+hadamard64" : "+quantize";
    std::vector<std::string> cells = CaseCells(result);
    cells.insert(cells.end(), {Billions(figures.rate), Percent(figures.of_peak),
                               Percent(figures.of_memory), RateOf(result, "w4_row" + pass),
                               RateOf(result, "w4_g128" + pass), RateOf(result, "w8_row" + pass)});
    AddBaselines(result, "w4_row" + pass, report.peaks, cells);
    table.Add(std::move(cells));
  }
  return rows == 0 ? "" : table.Markdown();
}

std::string GatedMlpMarkdown(const KernelBenchReport& report) {
  Table table;
  table.Add({"gated MLP, GOP/s", "rows", "W4A8, Hadamard 64", "dense 64", "no rotation", "float32",
             "bfloat16", "× float32", "× bfloat16"});
  size_t rows = 0;
  for (const CaseResult& result : report.cases) {
    if (!std::holds_alternative<GatedMlpShape>(result.shape.sizes)) continue;
    ++rows;
    std::vector<std::string> cells = CaseCells(result);
    cells.insert(cells.end(),
                 {RateOf(result, "w4_row+hadamard64"), RateOf(result, "w4_row+dense64"),
                  RateOf(result, "w4_row+quantize")});
    AddBaselines(result, "w4_row+hadamard64", report.peaks, cells);
    table.Add(std::move(cells));
  }
  return rows == 0 ? "" : table.Markdown();
}

std::string AttentionMarkdown(const KernelBenchReport& report) {
  Table table;
  table.Add({"attention, GOP/s", "queries", "our kernel, bfloat16", "float32", "SDPA, bfloat16",
             "float32", "matmuls, bfloat16", "float32"});
  size_t rows = 0;
  for (const CaseResult& result : report.cases) {
    if (!std::holds_alternative<AttentionShape>(result.shape.sizes)) continue;
    ++rows;
    std::vector<std::string> cells = CaseCells(result);
    for (const char* name :
         {"kernel_bf16", "kernel_f32", "sdpa_bf16", "sdpa_f32", "matmul_bf16", "matmul_f32"}) {
      cells.push_back(RateOf(result, name));
    }
    table.Add(std::move(cells));
  }
  return rows == 0 ? "" : table.Markdown();
}

}  // namespace

nlohmann::ordered_json KernelBenchJson(const KernelBenchReport& report) {
  const Peaks& peaks = report.peaks;
  Json cases = Json::array();
  for (const CaseResult& result : report.cases) {
    Json contenders = Json::array();
    for (const ContenderResult& contender : result.contenders) {
      contenders.push_back(ContenderJson(contender, result, peaks));
    }
    cases.push_back({{"shape", result.shape.name},
                     {"sizes", SizesText(result.shape)},
                     {"rows", result.rows},
                     {"contenders", std::move(contenders)}});
  }
  return {{"processor", ProcessorName()},
          {"isa", IsaName(report.isa)},
          {"threads", report.threads},
          {"libtorch", LibtorchVersion()},
          {"peaks",
           {{"integer_gops", Known(peaks.integer * 1e-9)},
            {"integer_instructions", peaks.integer_instructions},
            {"float32_gops", Known(peaks.float32 * 1e-9)},
            {"float32_instructions", peaks.float32_instructions},
            {"memory_gbps", Known(peaks.memory * 1e-9)}}},
          {"cases", std::move(cases)}};
}

std::string KernelBenchText(const KernelBenchReport& report) {
  std::string text = Summary(report) + "\n";
  for (const CaseResult& result : report.cases) {
    Table table;
    table.Add({"contender", "best ms", "median ms", "GOP/s", "% peak", "% memory", "x float32",
               "x bfloat16", "error"});
    std::string missing;
    for (const ContenderResult& contender : result.contenders) {
      if (contender.rounds == 0) {
        missing.append("  ").append(contender.name).append(": ");
        missing.append(contender.missing).append("\n");
        continue;
      }
      const Figures figures = FiguresOf(contender, result, report.peaks);
      table.Add({contender.name, Number(contender.best_seconds * 1e3, 3),
                 Number(contender.median_seconds * 1e3, 3), Billions(figures.rate),
                 Percent(figures.of_peak), Percent(figures.of_memory), Times(figures.to_float32),
                 Times(figures.to_bfloat16), Error(contender.error)});
    }
    text.append("\n").append(CaseTitle(result)).append("\n");
    text.append(table.Text()).append(missing);
  }
  return text;
}

std::string KernelBenchMarkdown(const KernelBenchReport& report) {
  std::string text = Summary(report) + ".\n";
  for (const std::string& table :
       {LinearMarkdown(report), GatedMlpMarkdown(report), AttentionMarkdown(report)}) {
    if (!table.empty()) text.append("\n").append(table);
  }
  return text;
}

}  // namespace vlaserve
