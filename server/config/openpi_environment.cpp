#include "server/config/openpi_environment.h"

#include <algorithm>
#include <array>
#include <map>

#include "server/config/openpi_variables.h"
#include "server/config/python_number.h"

namespace vlaserve {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kDuquant = "OPENPI_DUQUANT_";
constexpr std::string_view kW8a8 = "OPENPI_W8A8_";
constexpr std::string_view kBitblas = "OPENPI_BITBLAS_";

// openpi_duquant's defaults for BitBLAS where they differ from those of preset w8a8.
constexpr std::string_view kBitblasInclude = ".*";
constexpr std::string_view kBitblasExclude =
    R"((?:^|\.)(norm|ln|layernorm|emb|embed|vision_tower)(?:\.|$))";

// How a variable's text becomes a value of one option.
enum class Kind { kText, kInteger, kNumber, kFlag, kList };

struct Mapping {
  std::string_view name;
  Kind kind;
  std::string_view key;
};

constexpr std::array kMappings = {
    Mapping{"OPENPI_DUQUANT_SCOPE", Kind::kText, "quant.select.scope"},
    Mapping{"OPENPI_DUQUANT_INCLUDE", Kind::kText, "quant.select.include"},
    Mapping{"OPENPI_DUQUANT_EXCLUDE", Kind::kText, "quant.select.exclude"},
    Mapping{"OPENPI_DUQUANT_LAYERS", Kind::kList, "quant.select.layers"},
    Mapping{"OPENPI_DUQUANT_INCLUDE_ACTION_HEAD", Kind::kFlag, "quant.select.include_action_head"},
    Mapping{"OPENPI_DUQUANT_WBITS_DEFAULT", Kind::kInteger, "quant.weight.bits"},
    Mapping{"OPENPI_DUQUANT_ABITS", Kind::kInteger, "quant.act.bits"},
    Mapping{"OPENPI_DUQUANT_BLOCK", Kind::kInteger, "quant.transform.block"},
    Mapping{"OPENPI_DUQUANT_BLOCK_OUT", Kind::kInteger, "quant.transform.block_out"},
    Mapping{"OPENPI_DUQUANT_ACT_PCT", Kind::kNumber, "quant.act.percentile"},
    Mapping{"OPENPI_DUQUANT_DRYRUN", Kind::kFlag, "quant.dry_run"},
    Mapping{"OPENPI_DUQUANT_DEBUG", Kind::kFlag, "quant.debug"},
    Mapping{"OPENPI_DUQUANT_PROFILE", Kind::kFlag, "quant.profile"},
    Mapping{"OPENPI_DUQUANT_PRECACHE_WEIGHTS", Kind::kFlag, "quant.precache_weights"},
};

bool IsOn(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  return lower == "1" || lower == "true" || lower == "yes" || lower == "on";
}

class OverlayReader {
 public:
  OverlayReader(FileSystem& files, const Environment& environment)
      : files_(files), environment_(environment) {}

  Result<OpenpiOverlay> Read() {
    for (const Mapping& mapping : kMappings) VLASERVE_RETURN_IF_ERROR(ReadMapping(mapping));
    VLASERVE_RETURN_IF_ERROR(ReadCalibSteps());
    VLASERVE_RETURN_IF_ERROR(CheckLambdaSmooth());
    ReadWbits();
    ReadPermute();
    ReadRowRotation();
    ReadPackFolder();
    ReadPolicyProfile();
    ReadProfileSync();
    VLASERVE_RETURN_IF_ERROR(ReadSmoothQuant());
    ChooseBase();
    ReadW8a8();
    VLASERVE_RETURN_IF_ERROR(ReadBitblas());
    ReportTheRest();
    for (const auto& [name, verdict] : verdicts_) {
      overlay_.report.push_back(name + "=" + environment_.at(name) + ": " + verdict);
    }
    return std::move(overlay_);
  }

 private:
  const std::string* Find(std::string_view name) const {
    const auto found = environment_.find(std::string(name));
    return found == environment_.end() ? nullptr : &found->second;
  }

  bool IsFlagOn(std::string_view name) const {
    const std::string* text = Find(name);
    return text != nullptr && ParsePythonFlag(*text);
  }

  static Status Error(std::string_view name, const Status& status) {
    return {StatusCode::kInvalidArgument,
            "environment variable " + std::string(name) + ": " + status.message()};
  }

  void Set(std::string_view name, std::string_view key, Json value) {
    overlay_.settings.push_back({std::string(key), std::move(value), std::string(name)});
    Report(name, "mapped: " + std::string(key));
  }

  void Report(std::string_view name, std::string verdict) {
    verdicts_[std::string(name)] = std::move(verdict);
  }

  Status ReadMapping(const Mapping& mapping) {
    const std::string* text = Find(mapping.name);
    if (text == nullptr) return Status::Ok();
    switch (mapping.kind) {
      case Kind::kText:
        Set(mapping.name, mapping.key, *text);
        break;
      case Kind::kList:
        Set(mapping.name, mapping.key, SplitPythonList(*text));
        break;
      case Kind::kFlag:
        Set(mapping.name, mapping.key, ParsePythonFlag(*text));
        break;
      case Kind::kInteger: {
        const auto number = ParsePythonInt(*text);
        if (!number.ok()) return Error(mapping.name, number.status());
        Set(mapping.name, mapping.key, number->value);
        break;
      }
      case Kind::kNumber: {
        const auto number = ParsePythonFloat(*text);
        if (!number.ok()) return Error(mapping.name, number.status());
        Set(mapping.name, mapping.key, *number);
        overlay_.settings.back().legacy_only = true;
        break;
      }
    }
    return Status::Ok();
  }

  Status ReadCalibSteps() {
    constexpr std::string_view kName = "OPENPI_DUQUANT_CALIB_STEPS";
    constexpr std::string_view kKey = "quant.act.calib_batches";
    const std::string* text = Find(kName);
    if (text == nullptr) return Status::Ok();
    const auto number = ParsePythonInt(*text);
    if (!number.ok()) return Error(kName, number.status());
    Set(kName, kKey, number->value == 0 ? 1 : number->value);
    std::string verdict = "mapped: " + std::string(kKey);
    if (number->value == 0) verdict += "; 0 counts as 1, the first forward";
    Report(kName, verdict +
                      "; openpi_duquant itself always looks at the first forward only (compat bug "
                      "first_batch_calib)");
    return Status::Ok();
  }

  Status CheckLambdaSmooth() {
    constexpr std::string_view kName = "OPENPI_DUQUANT_LS";
    const std::string* text = Find(kName);
    if (text == nullptr) return Status::Ok();
    const auto number = ParsePythonFloat(*text);
    return number.ok() ? Status::Ok() : Error(kName, number.status());
  }

  void ReadWbits() {
    constexpr std::string_view kName = "OPENPI_DUQUANT_WBITS";
    const std::string* text = Find(kName);
    if (text == nullptr) return;
    Json bits = Json::object();
    for (const auto& [layer, number] : ParseWbits(*text)) bits[layer] = number.value;
    const size_t count = bits.size();
    Set(kName, "quant.select.per_layer_wbits", std::move(bits));
    overlay_.settings.back().unchecked = true;
    Report(kName, "mapped: quant.select.per_layer_wbits, " + std::to_string(count) +
                      " understood; names must be exact");
  }

  void ReadPermute() {
    constexpr std::string_view kName = "OPENPI_DUQUANT_PERMUTE";
    if (Find(kName) == nullptr) return;
    Set(kName, "quant.transform.permute", IsFlagOn(kName) ? "weight_zigzag" : "off");
  }

  void ReadRowRotation() {
    constexpr std::string_view kName = "OPENPI_DUQUANT_ROW_ROT";
    constexpr std::string_view kKey = "quant.transform.rotate_out";
    const std::string* text = Find(kName);
    if (text == nullptr) return;
    overlay_.row_rot_word = *text;
    if (*text == "restore" || *text == "propagate") {
      Set(kName, kKey, *text);
      return;
    }
    Set(kName, kKey, "off");
    if (*text != "0") {
      Report(kName,
             "mapped: quant.transform.rotate_out off; openpi_duquant takes any other word for "
             "\"rotate and never restore\", which destroys the outputs (compat bug "
             "row_rot_none with engine legacy_exact)");
    }
  }

  // The reference reads and writes its .npz packs there; ours get a folder of their own inside.
  void ReadPackFolder() {
    constexpr std::string_view kName = "OPENPI_DUQUANT_PACKDIR";
    const std::string* text = Find(kName);
    if (text == nullptr) return;
    if (text->empty()) {
      Report(kName, "not applicable: empty");
      return;
    }
    Set(kName, "pack_cache.dir", *text);
    const auto names = files_.IsDirectory(*text) ? files_.List(*text) : std::vector<std::string>();
    const bool has_packs =
        names.ok() && std::any_of(names->begin(), names->end(),
                                  [](const std::string& name) { return name.ends_with(".npz"); });
    if (has_packs) Set(kName, "pack_cache.import_npz", *text);
    Report(kName, has_packs ? "mapped: pack_cache.dir and, for the .npz packs in it, "
                              "pack_cache.import_npz"
                            : "mapped: pack_cache.dir; there are no .npz packs in it to import");
  }

  void ReadPolicyProfile() {
    constexpr std::string_view kName = "OPENPI_POLICY_PROFILE";
    if (Find(kName) == nullptr) return;
    if (IsFlagOn(kName)) {
      Set(kName, "quant.profile", true);
    } else {
      Report(kName, "not applicable: quant.profile prints both tables or none");
    }
  }

  void ReadProfileSync() {
    constexpr std::string_view kName = "OPENPI_DUQUANT_PROFILE_SYNC";
    if (Find(kName) == nullptr) return;
    overlay_.profile_sync = IsFlagOn(kName);
    Report(kName, "mapped: cuda_sync=" + std::string(overlay_.profile_sync ? "on" : "off") +
                      " in the title of the [DUQUANT][PROFILE] table; the times are the same, as "
                      "policies run on the CPU and their calls end before the clock is read");
  }

  Status ReadSmoothQuant() {
    constexpr std::string_view kEnable = "SMOOTHQUANT_ENABLE";
    constexpr std::string_view kPath = "SMOOTHQUANT_ALPHA_PATH";
    const std::string* enable = Find(kEnable);
    const std::string* path = Find(kPath);
    const bool on = enable != nullptr && IsOn(*enable);
    if (enable != nullptr && !on) Report(kEnable, "honoured: off");
    if (path != nullptr && !on) Report(kPath, "not applicable: SMOOTHQUANT_ENABLE is not on");
    if (!on) return Status::Ok();
    if (path == nullptr || path->empty()) {
      return Error(kPath, {StatusCode::kInvalidArgument,
                           "not set, but SMOOTHQUANT_ENABLE is on; name the JSON file with the "
                           "smoothing scales"});
    }
    Set(kEnable, "quant.transform.smooth.mode", "file");
    Report(kEnable,
           "mapped: quant.transform.smooth.mode file; applied the right way round (compat "
           "bug sq_inverted with engine legacy_exact for openpi_duquant's)");
    Set(kPath, "quant.transform.smooth.file", *path);
    return Status::Ok();
  }

  void ChooseBase() {
    for (const auto& [name, value] : environment_) {
      if (!name.starts_with(kDuquant) || name == "OPENPI_DUQUANT_PACKDIR") continue;
      overlay_.base_preset = "openpi_duquant";
      overlay_.base_variable = name;
      return;
    }
  }

  // True if the feature that `enable` switches on is what the variables ask for.
  bool StartsBase(std::string_view enable) {
    if (!IsFlagOn(enable)) {
      if (Find(enable) != nullptr) Report(enable, "honoured: off");
      return false;
    }
    if (!overlay_.base_preset.empty()) {
      Report(enable, "not applicable: " + overlay_.base_variable +
                         " asks for another quantization; a layer gets only one");
      return false;
    }
    overlay_.base_preset = "w8a8";
    overlay_.base_variable = enable;
    return true;
  }

  void SetText(const std::string& name, std::string_view key) {
    if (const std::string* text = Find(name)) Set(name, key, *text);
  }

  void ReadW8a8() {
    const std::string prefix(kW8a8);
    const std::string enable = prefix + "ENABLE";
    if (!StartsBase(enable)) return;
    Report(enable, "mapped: preset w8a8");
    SetText(prefix + "INCLUDE", "quant.select.include");
    SetText(prefix + "EXCLUDE", "quant.select.exclude");
    const std::string type = prefix + "ACTIVATION_DTYPE";
    if (const std::string* text = Find(type)) {
      Set(type, "quant.act.bits", *text == "float16" ? 0 : 8);
    }
  }

  Status ReadBitblas() {
    const std::string prefix(kBitblas);
    const std::string enable = prefix + "ENABLE";
    if (!StartsBase(enable)) return Status::Ok();
    Set(enable, "quant.act.bits", 0);
    Set(enable, "quant.weight.bits", 4);
    Set(enable, "quant.select.include", kBitblasInclude);
    Set(enable, "quant.select.exclude", kBitblasExclude);
    Report(enable, "mapped: preset w8a8 with 4-bit weights and float activations");
    SetText(prefix + "SCOPE", "quant.select.scope");
    SetText(prefix + "INCLUDE", "quant.select.include");
    SetText(prefix + "EXCLUDE", "quant.select.exclude");
    const std::string bits = prefix + "WBITS";
    if (const std::string* text = Find(bits)) {
      const auto number = ParsePythonInt(*text);
      if (!number.ok()) return Error(bits, number.status());
      Set(bits, "quant.weight.bits", number->value);
    }
    return Status::Ok();
  }

  void ReportTheRest() {
    for (const auto& [name, value] : environment_) {
      if (verdicts_.contains(name)) continue;
      for (const OpenpiVariable& variable : VariablesWithoutOption()) {
        const bool fits = variable.name.ends_with('*')
                              ? name.starts_with(variable.name.substr(0, variable.name.size() - 1))
                              : name == variable.name;
        if (!fits) continue;
        Report(name, std::string(variable.verdict));
        break;
      }
    }
  }

  FileSystem& files_;
  const Environment& environment_;
  OpenpiOverlay overlay_;
  std::map<std::string, std::string> verdicts_;
};

}  // namespace

Result<OpenpiOverlay> ReadOpenpiEnvironment(FileSystem& files, const Environment& environment) {
  return OverlayReader(files, environment).Read();
}

}  // namespace vlaserve
