#include "server/cli/verify_presets.h"

#include <array>
#include <iomanip>
#include <iostream>

#include "model/checkpoint/synth.h"
#include "quant/select/layer_bytes.h"
#include "quant/select/select.h"
#include "server/cli/exit_code.h"
#include "server/config/load.h"
#include "server/config/presets.h"

namespace vlaserve {
namespace {

struct PresetCount {
  std::string_view preset;
  int64_t layers = 0;
  std::string_view assignment = "";  // what the preset leaves to the user
};

// 18 layers of 7 linears each in the language model and in the expert, 27 of 6 in the vision tower.
constexpr std::array<PresetCount, 21> kExpectations = {{
    {"best_w4a8", 252},
    {"best_w4a8_pi0", 252},
    {"config_b", 126},
    {"dit_qkvo", 72},
    {"fp", 0},
    {"full", 252},
    {"full_vision", 414},
    {"high_accuracy", 126},
    {"high_speed", 126},
    {"llm", 126},
    {"llm_dit_mlp", 180},
    {"max_compress", 414},
    {"openpi_duquant", 0},
    {"optimized_dit", 126},
    {"plain_w4a8", 252},
    {"quantvla", 180},
    {"quantvla_w4a4", 180},
    {"simple", 126},
    {"simple_plain", 126},
    {"smoothquant", 126, "quant.transform.smooth.file=scales.json"},
    {"w8a8", 180},
}};

struct Counted {
  int64_t layers = 0;
  LayerBytes bytes;
};

Result<Counted> Count(const std::string& preset, std::string_view assignment, PolicyType type) {
  ConfigSources sources;
  sources.assignments.push_back("quant.preset=" + preset);
  if (!assignment.empty()) sources.assignments.emplace_back(assignment);
  VLASERVE_ASSIGN_OR_RETURN(const ResolvedConfig config, LoadConfig(PosixFileSystem(), sources));
  Counted counted;
  const Engine engine = config.config.quant.engine;
  if (engine == Engine::kOff) return counted;
  const auto linears = ReferenceLinears(SynthGeometry(type, SynthSize::kFull));
  VLASERVE_ASSIGN_OR_RETURN(const Selection selection, Select(linears, config.config.quant));
  counted.layers = static_cast<int64_t>(selection.layers.size());
  for (const SelectedLayer& layer : selection.layers) {
    const LayerBytes bytes = BytesOf(layer, engine);
    counted.bytes.bfloat16 += bytes.bfloat16;
    counted.bytes.packed += bytes.packed;
  }
  return counted;
}

bool Verify(const std::string& preset, const PresetCount* expected, PolicyType type) {
  const auto counted = Count(preset, expected != nullptr ? expected->assignment : "", type);
  const bool ok = counted.ok() && expected != nullptr && counted->layers == expected->layers;
  std::cout << (ok ? "ok     " : "WRONG  ") << std::left << std::setw(16) << preset << std::setw(6)
            << PolicyTypeName(type);
  if (!counted.ok()) {
    std::cout << counted.status().message() << "\n";
    return false;
  }
  std::cout << counted->layers << " layers";
  if (!ok) {
    std::cout << ", expected "
              << (expected != nullptr ? std::to_string(expected->layers) : "a preset known here");
  }
  if (counted->layers > 0) {
    std::cout << ", " << counted->bytes.bfloat16 << " bytes as bfloat16, " << counted->bytes.packed
              << " packed";
  }
  std::cout << "\n";
  return ok;
}

}  // namespace

int VerifyPresets() {
  bool all_ok = true;
  for (const std::string& preset : PresetNames()) {
    const PresetCount* expected = nullptr;
    for (const PresetCount& candidate : kExpectations) {
      if (candidate.preset == preset) expected = &candidate;
    }
    for (const PolicyType type : {PolicyType::kPi0, PolicyType::kPi05}) {
      all_ok = Verify(preset, expected, type) && all_ok;
    }
  }
  std::cout << std::flush;
  return all_ok ? kExitOk : kExitFailure;
}

}  // namespace vlaserve
