#include "server/config/settle.h"

#include <algorithm>

#include "quant/config/spellings.h"

namespace vlaserve {
namespace {

using Json = nlohmann::json;

bool IsUsers(const ResolvedOption& entry) {
  return entry.source == ValueSource::kFile || entry.source == ValueSource::kEnvironment ||
         entry.source == ValueSource::kCommandLine;
}

// "quant.act.bits 0 (environment OPENPI_DUQUANT_ABITS)"
std::string Told(const ResolvedOption& entry) {
  std::string text(entry.option->key);
  text += ' ';
  text += entry.value.is_string() ? entry.value.get<std::string>() : entry.value.dump();
  text += " (";
  text += ValueSourceName(entry.source);
  if (!entry.origin.empty()) text.append(" ").append(entry.origin);
  text += ')';
  return text;
}

class Settler {
 public:
  Settler(std::span<ResolvedOption> options, std::vector<std::string>& notes)
      : options_(options), notes_(notes) {}

  void Run() {
    SettleGroups();
    if (!IsUsers(engine())) SettleEngine();
    SettleMode();
  }

 private:
  ResolvedOption& At(std::string_view key) { return Entry(options_, key); }
  ResolvedOption& engine() { return At("quant.engine"); }
  bool EngineIs(std::string_view name) { return engine().value == name; }

  int64_t Bits(std::string_view key) {
    const auto bits = At(key).value.get<int64_t>();
    return bits > 8 ? 0 : bits;
  }

  void Note(const std::string& cause, const std::string& effect) {
    notes_.push_back(cause + ": " + effect);
  }

  void SettleGroups() {
    ResolvedOption& groups = At("quant.select.groups");
    if (!groups.value.is_null()) return;
    const bool all_default =
        std::all_of(options_.begin(), options_.end(), [](const ResolvedOption& entry) {
          const std::string_view key = entry.option->key;
          const bool selects = key == "quant.select.scope" || key == "quant.select.include" ||
                               key == "quant.select.exclude" || key == "quant.select.layers";
          return !selects || entry.source == ValueSource::kDefault;
        });
    if (all_default) groups.value = {"llm.attn", "llm.mlp", "expert.attn", "expert.mlp"};
  }

  void SettleEngine() {
    if (!EngineIs("int") && !EngineIs("fake")) return;
    const ResolvedOption& weight = At("quant.weight.bits");
    const ResolvedOption& activation = At("quant.act.bits");
    const bool weights = Bits("quant.weight.bits") != 0;
    const int64_t activation_bits = Bits("quant.act.bits");
    if (!weights && activation_bits == 0) {
      Note(Told(weight) + ", " + Told(activation),
           "nothing is quantized, engine transforms_only shows that the transforms change nothing "
           "(openpi_duquant rounds everything to integers at 16 and 32 bits)");
      engine().value = "transforms_only";
    } else if (!weights && UsesLegacyMode()) {
      Note(Told(weight),
           "activations alone are quantized by engine legacy_exact only, with scales "
           "from the first forward (compat bug first_batch_calib)");
      engine().value = "legacy_exact";
      ResolvedOption& bugs = At("quant.compat_bugs");
      if (!IsUsers(bugs)) bugs.value = {"first_batch_calib"};
    } else if (weights && activation_bits != 8 && EngineIs("int")) {
      Note(Told(activation), "engine int computes with 8 bits only: engine fake");
      engine().value = "fake";
    }
  }

  bool UsesLegacyMode() {
    const auto mode =
        FromSpelling(kActivationModeSpellings, At("quant.act.mode").value.get<std::string>());
    return mode && IsLegacyActivationMode(*mode);
  }

  void SettleMode() {
    ResolvedOption& mode = At("quant.act.mode");
    if (IsUsers(mode) || !UsesLegacyMode() || (!EngineIs("int") && !EngineIs("fake"))) return;
    if (Bits("quant.act.bits") != 0) {
      Note(Told(mode), "impossible with engine " + engine().value.get<std::string>() +
                           ", whose sums know one scale per token: dynamic_token");
    }
    mode.value = "dynamic_token";
  }

  std::span<ResolvedOption> options_;
  std::vector<std::string>& notes_;
};

}  // namespace

ResolvedOption& Entry(std::span<ResolvedOption> options, std::string_view key) {
  return *std::find_if(options.begin(), options.end(),
                       [&](const ResolvedOption& entry) { return entry.option->key == key; });
}

void SettleQuant(std::span<ResolvedOption> options, std::vector<std::string>& notes) {
  Settler(options, notes).Run();
}

}  // namespace vlaserve
