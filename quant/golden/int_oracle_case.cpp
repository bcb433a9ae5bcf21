#include "quant/golden/int_oracle_case.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/int_linear.h"
#include "kernels/panels.h"
#include "kernels/quantize.h"
#include "kernels/transform.h"
#include "model/io/dtype.h"
#include "quant/golden/comparison.h"

namespace vlaserve {
namespace {

struct WeightRule {
  int64_t bits = 0;
  int64_t group = 0;
  WeightSearch search = WeightSearch::kRtn;
};

struct Weights {
  int64_t bits = 0;
  int64_t group = 0;
  std::vector<int8_t> codes;
  std::vector<uint16_t> scales;
  std::vector<int8_t> choice;
  std::vector<uint8_t> stored;  // nibbles for 4 bits, else the codes; unpacked from panels

  IntWeights View(int64_t n, int64_t k) const {
    return {n, k, bits <= 4 ? 4 : 8, group, stored.data(), scales.data()};
  }
};

std::vector<float> Widened(const std::vector<uint16_t>& halves) {
  std::vector<float> floats(halves.size());
  std::transform(halves.begin(), halves.end(), floats.begin(), FloatFromFp16);
  return floats;
}

class OracleFile {
 public:
  OracleFile(const SafetensorsFile& file, const nlohmann::json& info, GoldenSummary& summary)
      : file_(file), info_(info), golden_(file, summary) {}

  Status Run() {
    VLASERVE_ASSIGN_OR_RETURN(id_, Text(info_, "id"));
    VLASERVE_ASSIGN_OR_RETURN(n_, Size(info_, "N"));
    VLASERVE_ASSIGN_OR_RETURN(k_, Size(info_, "K"));
    VLASERVE_ASSIGN_OR_RETURN(m_, Size(info_, "M"));
    if (const TensorView* const bias = golden_.Input("bias"); bias != nullptr) {
      bias_ = bias->ToFloats();
      if (std::ssize(bias_) != n_) return Bad("bias of " + ShapeToString(bias->shape));
    }
    VLASERVE_RETURN_IF_ERROR(info_.contains("sweep") ? RunSweep() : RunSingle());
    golden_.FailUnused();
    return Status::Ok();
  }

 private:
  Status Bad(const std::string& message) const {
    return Status(StatusCode::kUnreadable, file_.path() + ": " + message);
  }

  Result<std::string> Text(const nlohmann::json& object, const char* key) const {
    const auto value = object.find(key);
    if (value == object.end() || !value->is_string()) {
      return Bad(std::string("info has no text \"") + key + "\"");
    }
    return value->get<std::string>();
  }

  Result<int64_t> Size(const nlohmann::json& object, const char* key) const {
    const auto value = object.find(key);
    if (value == object.end() || !value->is_number_integer() || value->get<int64_t>() < 1) {
      return Bad(std::string("info has no positive number \"") + key + "\"");
    }
    return value->get<int64_t>();
  }

  // A number of columns; "row", 0, null or nothing: 0.
  Result<int64_t> Columns(const nlohmann::json& object, const char* key) const {
    const auto value = object.find(key);
    if (value == object.end() || value->is_null() || *value == "row" || *value == 0) {
      return int64_t{0};
    }
    return Size(object, key);
  }

  Result<WeightRule> RuleOf(const nlohmann::json& object) const {
    WeightRule rule;
    VLASERVE_ASSIGN_OR_RETURN(rule.bits, Size(object, "w_bits"));
    if (rule.bits < 2 || rule.bits > 8) return Bad("w_bits " + std::to_string(rule.bits));
    VLASERVE_ASSIGN_OR_RETURN(rule.group, Columns(object, "w_group"));
    VLASERVE_ASSIGN_OR_RETURN(const std::string method, Text(object, "method"));
    if (method == "clip") {
      rule.search = WeightSearch::kClipSearch;
    } else if (method != "rtn") {
      return Bad("method \"" + method + "\", expected rtn or clip");
    }
    return rule;
  }

  template <typename T>
  Result<std::vector<T>> InputIntegers(const std::string& name, const std::vector<int64_t>& shape) {
    const TensorView* const tensor = golden_.Input(name);
    if (tensor == nullptr || tensor->shape != shape) {
      return Bad("no tensor " + name + " " + ShapeToString(shape));
    }
    const std::vector<int64_t> values = tensor->ToInts();
    return std::vector<T>(values.begin(), values.end());
  }

  Result<std::vector<float>> InputFloats(const std::string& name,
                                         const std::vector<int64_t>& shape) {
    const TensorView* const tensor = golden_.Input(name);
    if (tensor == nullptr || tensor->shape != shape) {
      return Bad("no tensor " + name + " " + ShapeToString(shape));
    }
    return tensor->ToFloats();
  }

  // W and x, smoothed and rotated.
  Status ReadInputs() {
    VLASERVE_ASSIGN_OR_RETURN(w_, InputFloats("W", {n_, k_}));
    VLASERVE_ASSIGN_OR_RETURN(x_, InputFloats("x", {m_, k_}));
    if (golden_.Input("smooth") != nullptr) {
      VLASERVE_ASSIGN_OR_RETURN(std::vector<float> smooth, InputFloats("smooth", {k_}));
      ScaleColumns(w_.data(), n_, k_, smooth);
      for (float& factor : smooth) factor = 1.0F / factor;
      ScaleColumns(x_.data(), m_, k_, smooth);
    }
    VLASERVE_ASSIGN_OR_RETURN(const int64_t block, Columns(info_, "hadamard_block"));
    if (block > 0) {
      if ((block & (block - 1)) != 0 || k_ % block != 0) {
        return Bad("hadamard_block " + std::to_string(block) + " with K " + std::to_string(k_));
      }
      HadamardRows(w_.data(), n_, k_, block);
      HadamardRows(x_.data(), m_, k_, block);
    }
    return Status::Ok();
  }

  std::optional<WeightError> Quantize(const WeightRule& rule, Weights& weights) const {
    weights.bits = rule.bits;
    weights.group = rule.group;
    weights.codes.resize(static_cast<size_t>(n_ * k_));
    weights.scales.resize(static_cast<size_t>(n_ * GroupCount(k_, rule.group)));
    weights.choice.resize(weights.scales.size());
    const auto error = QuantizeWeights(w_.data(), n_, k_, rule.bits, rule.group, rule.search,
                                       weights.codes.data(), weights.scales.data(), weights.choice);
    Store(weights);
    return error;
  }

  // The way of every pack: into panels. What is compared and computed with comes back out of them.
  void Store(Weights& weights) const {
    const int64_t bits = weights.bits <= 4 ? 4 : 8;
    const int64_t groups = GroupCount(k_, weights.group);
    const int64_t panels = kernels::PanelCount(n_);
    std::vector<uint8_t> codes(static_cast<size_t>(panels * kernels::PanelCodeBytes(k_, bits)));
    kernels::PackPanels(weights.codes.data(), n_, k_, bits, codes.data());
    std::vector<uint16_t> scales(static_cast<size_t>(panels * groups * kernels::kPanelColumns));
    kernels::PackPanelScales(weights.scales.data(), n_, groups, scales.data());

    weights.scales.assign(weights.scales.size(), 0);
    std::vector<int8_t> unpacked(weights.codes.size());
    kernels::UnpackPanels(codes.data(), n_, k_, bits, unpacked.data());
    kernels::UnpackPanelScales(scales.data(), n_, groups, weights.scales.data());
    if (bits == 8) {
      weights.stored.assign(unpacked.begin(), unpacked.end());
      return;
    }
    weights.stored.resize(static_cast<size_t>(n_ * ((k_ + 1) / 2)));
    PackNibbles(unpacked.data(), n_, k_, weights.stored.data());
  }

  void CompareWeights(const std::string& prefix, const Weights& weights) {
    const std::vector<int64_t> groups = {n_, GroupCount(k_, weights.group)};
    golden_.Integers<int8_t>(prefix + "w_codes", weights.codes, {n_, k_});
    golden_.Floats(prefix + "w_scales", Widened(weights.scales), groups);
    golden_.Integers<int8_t>(prefix + "w_clip_index", weights.choice, groups);
    if (weights.bits <= 4) {
      golden_.Integers<uint8_t>(prefix + "w_packed", weights.stored, {n_, (k_ + 1) / 2});
    }
  }

  IntActivations EmptyActivations(int64_t group) const {
    IntActivations x;
    x.rows = m_;
    x.columns = k_;
    x.group = group;
    x.codes.resize(static_cast<size_t>(m_ * k_));
    x.scales.resize(static_cast<size_t>(m_ * GroupCount(k_, group)));
    return x;
  }

  std::optional<int64_t> Quantize(IntActivations& x) const {
    return QuantizeActivations(x_.data(), m_, k_, 8, x.group, x.codes.data(), x.scales.data());
  }

  void CompareActivations(const std::string& prefix, const IntActivations& x) {
    golden_.Integers<int8_t>(prefix + "x_codes", x.codes, {m_, k_});
    golden_.Floats(prefix + "x_scales", x.scales, {m_, GroupCount(k_, x.group)});
  }

  // Accumulators and group sums.
  void CompareIntegers(const std::string& prefix, const IntActivations& x, const Weights& weights) {
    const IntWeights view = weights.View(n_, k_);
    std::vector<int32_t> accumulators;
    for (int64_t m = 0; m < m_; ++m) {
      for (int64_t n = 0; n < n_; ++n) {
        const std::vector<int32_t> one = IntAccumulators(x, m, view, n);
        accumulators.insert(accumulators.end(), one.begin(), one.end());
      }
    }
    const int64_t steps = std::ssize(accumulators) / (m_ * n_);
    golden_.Integers<int32_t>(prefix + "acc", accumulators, {m_, n_, steps});

    const auto width_of = [this](int64_t group) { return GroupCount(k_, group) == 1 ? k_ : group; };
    const int64_t width = std::min(width_of(x.group), width_of(weights.group));
    std::vector<int32_t> sums(static_cast<size_t>(m_ * steps));
    for (int64_t m = 0; m < m_; ++m) {
      for (int64_t k = 0; k < k_; ++k) {
        sums[static_cast<size_t>(m * steps + k / width)] +=
            x.codes[static_cast<size_t>(m * k_ + k)];
      }
    }
    golden_.Integers<int32_t>(prefix + "x_group_sum", sums, {m_, steps});
  }

  void CompareOutput(const std::string& prefix, const IntActivations& x, const Weights& weights,
                     bool with_bias) {
    std::vector<float> y(static_cast<size_t>(m_ * n_));
    const float* const bias = with_bias ? bias_.data() : nullptr;
    IntLinear(x, weights.View(n_, k_), bias, 0, n_, y.data());
    if (!golden_.Floats(prefix + "y", y, {m_, n_})) golden_.Fail(prefix + "y", "not in the file");
    for (float& value : y) value = Bf16ToFloat(FloatToBf16(value));
    golden_.Floats(prefix + "y_bf16", y, {m_, n_});
  }

  Status RunSingle() {
    golden_.BeginCase(id_);
    VLASERVE_ASSIGN_OR_RETURN(const std::string act, Text(info_, "act"));
    if (act != "token" && act != "token_group") return Bad("act \"" + act + "\"");
    VLASERVE_ASSIGN_OR_RETURN(const int64_t group, Columns(info_, "act_group"));
    const int64_t input_group = act == "token" ? 0 : group;
    const auto codes_only = info_.find("codes_are_inputs");
    if (codes_only != info_.end() && *codes_only == true) return RunCodes(input_group);

    VLASERVE_RETURN_IF_ERROR(ReadInputs());
    IntActivations x = EmptyActivations(input_group);
    golden_.Floats("x_t", x_, {m_, k_});
    golden_.Floats("w_t", w_, {n_, k_});
    VLASERVE_ASSIGN_OR_RETURN(const WeightRule rule, RuleOf(info_));
    VLASERVE_ASSIGN_OR_RETURN(const std::string expect, Text(info_, "expect"));
    Weights weights;
    const std::optional<WeightError> error = Quantize(rule, weights);
    if (expect == "pack_error") {
      return CheckPackError(error);
    }
    if (error.has_value()) {
      golden_.Fail("w_codes", "row " + std::to_string(error->row) + " cannot be quantized");
      return Status::Ok();
    }
    if (expect == "activation_error") return CheckActivationError(x);
    if (expect != "ok") return Bad("expect \"" + expect + "\"");
    if (const auto row = Quantize(x); row.has_value()) {
      golden_.Fail("x_codes", "row " + std::to_string(*row) + " cannot be quantized");
      return Status::Ok();
    }
    CompareWeights("", weights);
    CompareActivations("", x);
    CompareIntegers("", x, weights);
    CompareOutput("", x, weights, !bias_.empty());
    return Status::Ok();
  }

  // The codes and scales of the file are what is computed with.
  Status RunCodes(int64_t input_group) {
    IntActivations x;
    x.rows = m_;
    x.columns = k_;
    x.group = input_group;
    Weights weights;
    VLASERVE_ASSIGN_OR_RETURN(weights.bits, Size(info_, "w_bits"));
    VLASERVE_ASSIGN_OR_RETURN(weights.group, Columns(info_, "w_group"));
    VLASERVE_ASSIGN_OR_RETURN(weights.codes, InputIntegers<int8_t>("w_codes", {n_, k_}));
    VLASERVE_ASSIGN_OR_RETURN(const std::vector<float> scales,
                              InputFloats("w_scales", {n_, GroupCount(k_, weights.group)}));
    for (const float scale : scales) weights.scales.push_back(Fp16FromFloat(scale));
    VLASERVE_ASSIGN_OR_RETURN(x.codes, InputIntegers<int8_t>("x_codes", {m_, k_}));
    VLASERVE_ASSIGN_OR_RETURN(x.scales, InputFloats("x_scales", {m_, GroupCount(k_, x.group)}));
    Store(weights);
    if (weights.bits <= 4) {
      golden_.Integers<uint8_t>("w_packed", weights.stored, {n_, (k_ + 1) / 2});
    }
    CompareIntegers("", x, weights);
    CompareOutput("", x, weights, !bias_.empty());
    return Status::Ok();
  }

  Status CheckPackError(const std::optional<WeightError>& error) {
    if (!error.has_value()) {
      golden_.Fail("", "the weight was quantized, expected an error");
      return Status::Ok();
    }
    VLASERVE_ASSIGN_OR_RETURN(const std::string reason, Text(info_, "reason"));
    const bool not_finite = error->kind == WeightError::Kind::kNotFinite;
    if (not_finite != (reason.find("finite") != std::string::npos)) {
      golden_.Fail("", std::string("the error is ") +
                           (not_finite ? "a non-finite weight" : "a too large scale") +
                           ", expected " + reason);
    }
    return Status::Ok();
  }

  Status CheckActivationError(IntActivations& x) {
    std::vector<int64_t> bad_rows;
    const auto rows = info_.find("bad_rows");
    if (rows != info_.end() && rows->is_array()) {
      for (const nlohmann::json& row : *rows) {
        if (!row.is_number_integer()) return Bad("bad_rows are not numbers");
        bad_rows.push_back(row.get<int64_t>());
      }
    }
    if (bad_rows.empty()) return Bad("info has no \"bad_rows\"");
    if (Quantize(x) != bad_rows.front()) {
      golden_.Fail("", "row " + std::to_string(bad_rows.front()) + " is not reported as the first");
    }
    for (int64_t m = 0; m < m_; ++m) {
      const bool bad = QuantizeActivations(x_.data() + m * k_, 1, k_, 8, x.group, x.codes.data(),
                                           x.scales.data())
                           .has_value();
      const bool expected = std::find(bad_rows.begin(), bad_rows.end(), m) != bad_rows.end();
      if (bad == expected) continue;
      golden_.Fail("", "row " + std::to_string(m) + (bad ? " is refused" : " is accepted"));
    }
    return Status::Ok();
  }

  Status RunSweep() {
    VLASERVE_RETURN_IF_ERROR(ReadInputs());
    std::map<std::string, Weights> all_weights;
    std::map<std::string, IntActivations> all_inputs;
    for (const nlohmann::json& entry : info_["sweep"]) {
      VLASERVE_ASSIGN_OR_RETURN(const std::string weights_name, Text(entry, "weights"));
      VLASERVE_ASSIGN_OR_RETURN(const std::string input_name, Text(entry, "act"));
      const std::string name = weights_name + "." + input_name;
      golden_.BeginCase(id_ + " " + name);
      if (!all_weights.contains(weights_name)) {
        VLASERVE_ASSIGN_OR_RETURN(const WeightRule rule, RuleOf(entry));
        Weights weights;
        if (const auto error = Quantize(rule, weights); error.has_value()) {
          golden_.Fail(weights_name, "row " + std::to_string(error->row) + " cannot be quantized");
          continue;
        }
        CompareWeights(weights_name + ".", weights);
        all_weights.emplace(weights_name, std::move(weights));
      }
      if (!all_inputs.contains(input_name)) {
        VLASERVE_ASSIGN_OR_RETURN(const int64_t group, Columns(entry, "act_group"));
        IntActivations x = EmptyActivations(group);
        if (const auto row = Quantize(x); row.has_value()) {
          golden_.Fail(input_name, "row " + std::to_string(*row) + " cannot be quantized");
          continue;
        }
        CompareActivations(input_name + ".", x);
        all_inputs.emplace(input_name, std::move(x));
      }
      const IntActivations& x = all_inputs.at(input_name);
      const Weights& weights = all_weights.at(weights_name);
      CompareIntegers(name + ".", x, weights);
      CompareOutput(name + ".", x, weights, false);
      if (!bias_.empty()) CompareOutput(name + ".bias.", x, weights, true);
    }
    return Status::Ok();
  }

  const SafetensorsFile& file_;
  const nlohmann::json& info_;
  GoldenComparison golden_;
  std::string id_;
  int64_t n_ = 0;
  int64_t k_ = 0;
  int64_t m_ = 0;
  std::vector<float> bias_;
  std::vector<float> w_;
  std::vector<float> x_;
};

}  // namespace

Status CheckIntOracleCase(const SafetensorsFile& file, const nlohmann::json& info,
                          GoldenSummary& summary) {
  return OracleFile(file, info, summary).Run();
}

}  // namespace vlaserve
