// What the quantization pass is told: which linears, how many bits, which transforms, which engine.
//
// Typed values only. Their JSON keys ("quant.weight.bits" …), defaults, ranges and help stand in
// server/config/quant_options.cpp, presets in configs/presets/. W is a weight [N = out, K = in].
// Words and formulas: spec quantization.md; the integer format is quant/pack/PACK_FORMAT.md's.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model/io/status.h"

namespace vlaserve {

enum class Engine {
  kOff,             // nothing is quantized
  kInt,             // integer codes, integer arithmetic
  kFake,            // the codes and scales of kInt, multiplied in float: its oracle
  kLegacyExact,     // the arithmetic of openpi_duquant, operation by operation
  kTransformsOnly,  // transforms without quantization: must equal the float layer
};

enum class WeightRounding {
  kRtn,         // scale = max|w| / qmax
  kGrid5,       // openpi_duquant's search: max|w| / qmax over {0.5, 0.75, 1, 1.25, 1.5}
  kClipSearch,  // 26 clip ratios 1, 0.98 … 0.5; the smallest squared error wins
};

enum class ActivationMode {
  kDynamicToken,       // one scale per token
  kDynamicTokenGroup,  // one scale per token and group of columns
  kDynamicTensor,      // legacy_exact: one scale per call
  kStaticTensor,       // legacy_exact: one scale, from calibration
  kStaticChannel,      // legacy_exact: one scale per column, from calibration
  kStepChannel,        // legacy_exact: one scale per column and denoise step, from calibration
};

enum class Permute {
  kOff,
  kWeightZigzag,  // largest, smallest, second largest … column energy of W (openpi_duquant)
  kActSnake,      // columns dealt to the blocks back and forth by max|x| (DuQuant); calibration
};

enum class RotateIn {
  kOff,
  kWeightSvd,      // left singular vectors of each block of W's columns (openpi_duquant)
  kHadamard,       // Sylvester Hadamard / sqrt(block)
  kSvdHadamard,    // weight SVD, then Hadamard
  kDuquantGreedy,  // DuQuant's greedy outlier rotation, one for all blocks; calibration
};

enum class RotateOut {
  kOff,
  kRestore,    // rows rotated in the weight, the output rotated back
  kPropagate,  // rows rotated, never restored: legacy_exact only
};

enum class SmoothMode { kOff, kFile };

// What kInt computes together with a linear: quant/pass/fuse.h.
enum class Fusion { kSharedInput, kNorm, kGatedMlp, kResidual };
inline constexpr std::array kAllFusions = {Fusion::kSharedInput, Fusion::kNorm, Fusion::kGatedMlp,
                                           Fusion::kResidual};

// Behaviours of openpi_duquant that are bugs, for exact reproduction with kLegacyExact.
struct CompatBugs {
  bool first_batch_calib = false;  // static scales from the first forward, whatever is calibrated
  bool row_rot_none = false;       // unknown row_rot words rotate rows and never restore them
  bool sq_inverted = false;        // smoothing scales applied the wrong way round
  bool inplace_weight = false;     // without permutation a rebuilt weight is rotated twice
  bool wbits32_scale1 = false;     // 16 and more bits mean scale 1 instead of "not quantized"
};

struct WeightSettings {
  int64_t bits = 4;       // 2 … 8; 0, 16 and 32: not quantized (Select makes 0 of them)
  int64_t group = 128;    // columns per scale: 32, 64, 128, 256; 0: one scale per row
  bool symmetric = true;  // asymmetric: kFake only
  WeightRounding rounding = WeightRounding::kClipSearch;

  bool operator==(const WeightSettings&) const = default;
};

struct ActivationSettings {
  int64_t bits = 8;  // 8; 0, 16 and 32: not quantized; 2 … 7: kFake and kLegacyExact
  ActivationMode mode = ActivationMode::kDynamicTokenGroup;
  int64_t group = 128;         // columns per scale of kDynamicTokenGroup: 32, 64, 128, 256
  double percentile = 99.9;    // of |x| in static modes, 0 … 100
  int64_t calib_batches = 32;  // forwards that static modes observe

  bool operator==(const ActivationSettings&) const = default;
};

struct TransformSettings {
  SmoothMode smooth = SmoothMode::kOff;
  Permute permute = Permute::kOff;
  RotateIn rotate_in = RotateIn::kHadamard;
  int64_t block = 64;  // columns per rotation: a power of two, 16 … 256
  RotateOut rotate_out = RotateOut::kOff;
  int64_t block_out = 0;  // rows per rotation; 0: as block

  bool operator==(const TransformSettings&) const = default;
};

// Everything that may differ from layer to layer.
struct LayerSettings {
  WeightSettings weight;
  ActivationSettings activation;
  TransformSettings transform;

  bool operator==(const LayerSettings&) const = default;
};

// Changes for the sites whose names match a glob (MatchesSite in quant/select/site_glob.h).
// Site names: "llm.3.down", "expert.0.q", "vision.26.fc1", "action_out_proj" (SiteOf).
struct SiteOverride {
  std::string glob;
  std::vector<std::function<void(LayerSettings&)>> changes;  // in order
};

// Which linears. A linear is selected if its name starts with `scope` and
//   `layers` has entries: is one of them exactly;
//   else: `include` is found in the name (Python re.search), `exclude` is not, and, if `groups` has
//   entries, it belongs to one of these groups.
// A selected "…action_out_proj" is dropped again unless `include_action_head`.
struct SelectSettings {
  std::string scope;
  std::string include;
  std::string exclude;          // empty text: the empty expression, which is found in every name
  bool exclude_nothing = true;  // true: no exclude expression at all
  std::vector<std::string> layers;
  std::vector<std::string> groups;
  std::map<std::string, int64_t> per_layer_wbits;  // exact name → weight bits
  bool include_action_head = false;
  // Entries of `layers` and `per_layer_wbits` that name no linear are notes, not errors, as in
  // openpi_duquant; set where they come from its variables.
  bool allow_unknown_names = false;
};

struct QuantConfig {
  std::string preset = "fp";
  Engine engine = Engine::kOff;
  bool strict = true;  // false: what cannot be applied is a warning and that layer stays float
  CompatBugs compat_bugs;
  SelectSettings select;
  LayerSettings layer;              // of every selected linear, before `sites` and WBITS
  std::vector<SiteOverride> sites;  // in order; later ones win
  std::string smooth_file;          // JSON {"alpha", "layers": {name: [K numbers]}}
  std::string calibration_file;     // quant/calibration/CALIBRATION_FORMAT.md
  std::string npz_folder;           // openpi_duquant packs to take transforms from; "": none
  bool dry_run = false;             // list what would be replaced, replace nothing
  bool debug = false;               // [DUQUANT][CACHE] and [FORWARD] log lines
  bool profile = false;             // [DUQUANT][PROFILE] and [POLICY][PROFILE] tables
  bool fold = true;                 // kInt, kFake: norms divide by smoothing scales where they can
  // kInt: what is fused where the graph allows it.
  std::set<Fusion> fuse{kAllFusions.begin(), kAllFusions.end()};
  bool precache_weights = true;  // kLegacyExact keeps dequantized weights between calls
  // What OPENPI_DUQUANT_ROW_ROT says, for the [DUQUANT] lines; unset: by `rotate_out`.
  std::optional<std::string> row_rot_word;
  // What OPENPI_DUQUANT_PROFILE_SYNC says, for the title of the [DUQUANT][PROFILE] table. A clock
  // around a call on the CPU has no queue to wait for.
  bool profile_sync = true;
};

// What does not fit together whatever the layers are: engine, modes, bits, compat bugs
// ("act.mode static_channel with engine int"), and expressions that cannot be done the Python way.
// kInvalidArgument; Status::field() is the option's key. Files are not looked at.
Status CheckQuantConfig(const QuantConfig& config);

// The part of it that site overrides may change, for what one layer gets.
Status CheckLayerSettings(Engine engine, const LayerSettings& settings);

// Modes that only kLegacyExact has: their scales cannot be taken out of an integer sum.
bool IsLegacyActivationMode(ActivationMode mode);

}  // namespace vlaserve
