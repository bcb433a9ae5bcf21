#include "server/config/quant_options.h"

#include <algorithm>

#include "quant/config/spellings.h"
#include "quant/select/select.h"

namespace vlaserve {
namespace {

using Json = nlohmann::json;

template <typename Value, size_t kCount>
std::vector<std::string_view> Names(const Spellings<Value, kCount>& table) {
  std::vector<std::string_view> names;
  for (const auto& entry : table) names.push_back(entry.first);
  return names;
}

// CheckValue has seen that it is one of the names.
template <typename Value, size_t kCount>
Value Parse(const Spellings<Value, kCount>& table, const Json& value) {
  return *FromSpelling(table, value.get_ref<const std::string&>());
}

// Letters other than `*`: the more a glob has, the more special it is.
size_t Specificity(const SiteOverride& site) {
  return site.glob.size() -
         static_cast<size_t>(std::count(site.glob.begin(), site.glob.end(), '*'));
}

void ApplySites(const Json& value, ServerConfig& config) {
  std::vector<SiteOverride>& sites = config.quant.sites;
  sites.clear();
  for (const auto& [glob, settings] : value.items()) {
    SiteOverride site{glob, {}};
    for (const auto& [key, value_of_key] : settings.items()) {
      const Option* option = FindOption("quant." + key);
      const Json setting = value_of_key;
      site.changes.push_back([option, setting](LayerSettings& layer) {
        ServerConfig changed;
        changed.quant.layer = layer;
        option->apply(setting, changed);
        layer = changed.quant.layer;
      });
    }
    sites.push_back(std::move(site));
  }
  // Objects of JSON have no order.
  std::stable_sort(sites.begin(), sites.end(), [](const SiteOverride& a, const SiteOverride& b) {
    return Specificity(a) < Specificity(b);
  });
}

void ApplyCompatBugs(const Json& value, ServerConfig& config) {
  for (const auto& [name, bug] : kCompatBugSpellings) {
    config.quant.compat_bugs.*bug = std::find(value.begin(), value.end(), name) != value.end();
  }
}

void ApplyFuse(const Json& value, ServerConfig& config) {
  config.quant.fuse.clear();
  for (const Json& name : value) config.quant.fuse.insert(Parse(kFusionSpellings, name));
}

PackCacheOptions::Mode ParseMode(const Json& value) {
  if (value == "ro") return PackCacheOptions::Mode::kReadOnly;
  return value == "off" ? PackCacheOptions::Mode::kOff : PackCacheOptions::Mode::kReadWrite;
}

std::vector<Option> GeneralOptions() {
  return {
      {.key = "quant.preset",
       .default_value = "fp",
       .form = "a preset's name or the path of a preset file",
       .help = "Settings to start from (configs/presets/); every other option wins over it. A path "
               "contains a slash or ends with .json.",
       .apply = [](const Json& value, ServerConfig& config) { value.get_to(config.quant.preset); }},
      {.key = "quant.engine",
       .default_value = "off",
       .values = Names(kEngineSpellings),
       .help =
           "int: integer arithmetic. fake: the same codes in float. legacy_exact: the arithmetic "
           "of openpi_duquant. transforms_only: nothing is quantized, for checks.",
       .apply = [](const Json& value,
                   ServerConfig& config) { config.quant.engine = Parse(kEngineSpellings, value); }},
      {.key = "quant.strict",
       .type = OptionType::kBoolean,
       .default_value = true,
       .help = "What cannot be applied stops the start; false: a warning, and those layers stay "
               "float.",
       .apply = [](const Json& value, ServerConfig& config) { value.get_to(config.quant.strict); }},
      {.key = "quant.compat_bugs",
       .type = OptionType::kStringList,
       .default_value = Json::array(),
       .values = Names(kCompatBugSpellings),
       .help = "Bugs of openpi_duquant to reproduce with engine legacy_exact.",
       .apply = ApplyCompatBugs},
      {.key = "quant.fuse",
       .type = OptionType::kStringList,
       .default_value = Json(Names(kFusionSpellings)),
       .values = Names(kFusionSpellings),
       .help =
           "What engine int computes together with its linears: inputs quantized once for all "
           "that share them, the norm in front, the gated MLP between its linears, the addition "
           "behind. gated_mlp needs shared_input.",
       .apply = ApplyFuse},
  };
}

std::vector<Option> SelectOptions() {
  const auto group_names = GroupNames();
  return {
      {.key = "quant.select.scope",
       .default_value = "",
       .form = "the beginning of a name",
       .may_be_empty = true,
       .help = "Only linears whose names begin so.",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.quant.select.scope); }},
      {.key = "quant.select.include",
       .default_value = "",
       .form = "a Python regular expression",
       .may_be_empty = true,
       .help = "Only linears in whose names it is found (re.search).",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.quant.select.include); }},
      {.key = "quant.select.exclude",
       .when_unset = "nothing is excluded",
       .form = "a Python regular expression",
       .may_be_empty = true,
       .help = "No linears in whose names it is found; an empty one is found in every name.",
       .apply =
           [](const Json& value, ServerConfig& config) {
             value.get_to(config.quant.select.exclude);
             config.quant.select.exclude_nothing = false;
           }},
      {.key = "quant.select.layers",
       .type = OptionType::kStringList,
       .default_value = Json::array(),
       .form = "names of linears",
       .help = "If not empty: exactly these linears of the scope, whatever include, exclude and "
               "groups say.",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.quant.select.layers); }},
      {.key = "quant.select.groups",
       .type = OptionType::kStringList,
       .when_unset = "llm and expert, or all if another select option is set",
       .values = {group_names.begin(), group_names.end()},
       .help = "Only linears of these groups.",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.quant.select.groups); }},
      {.key = "quant.select.per_layer_wbits",
       .type = OptionType::kIntegerMap,
       .default_value = Json::object(),
       .integers = {0, 2, 3, 4, 5, 6, 7, 8, 16, 32},
       .form = "an object of names of linears and weight bits",
       .help = "Weight bits of single linears; they win over quant.weight.bits and quant.sites.",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.quant.select.per_layer_wbits); }},
      {.key = "quant.select.include_action_head",
       .type = OptionType::kBoolean,
       .default_value = false,
       .help = "Also action_out_proj, which is left out otherwise.",
       .apply =
           [](const Json& value, ServerConfig& config) {
             value.get_to(config.quant.select.include_action_head);
           }},
  };
}

std::vector<Option> NumericOptions() {
  return {
      {.key = "quant.weight.bits",
       .type = OptionType::kInteger,
       .default_value = 4,
       .integers = {0, 2, 3, 4, 5, 6, 7, 8, 16, 32},
       .help = "Bits of a weight; 0, 16 and 32: not quantized. Engine int stores 4 or 8.",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.quant.layer.weight.bits); }},
      {.key = "quant.weight.group",
       .type = OptionType::kInteger,
       .default_value = 128,
       .integers = {0, 32, 64, 128, 256},
       .help = "Columns that share a weight scale; 0: a whole row. legacy_exact: always a row.",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.quant.layer.weight.group); }},
      {.key = "quant.weight.symmetric",
       .type = OptionType::kBoolean,
       .default_value = true,
       .help = "Scales without zero points; false only with engine fake.",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.quant.layer.weight.symmetric); }},
      {.key = "quant.weight.rounding",
       .default_value = "clip_search",
       .values = Names(kWeightRoundingSpellings),
       .help =
           "Choice of the weight scale: rtn: the largest weight. clip_search: of 26 clip ratios "
           "the one with the smallest error. grid5: openpi_duquant's search over five.",
       .apply =
           [](const Json& value, ServerConfig& config) {
             config.quant.layer.weight.rounding = Parse(kWeightRoundingSpellings, value);
           }},
      {.key = "quant.act.bits",
       .type = OptionType::kInteger,
       .default_value = 8,
       .integers = {0, 2, 3, 4, 5, 6, 7, 8, 16, 32},
       .help = "Bits of an activation; 0, 16 and 32: not quantized. Engine int: 8.",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.quant.layer.activation.bits); }},
      {.key = "quant.act.mode",
       .default_value = "dynamic_token_group",
       .values = Names(kActivationModeSpellings),
       .help = "What shares an activation scale. Engines int and fake: dynamic_token or "
               "dynamic_token_group; legacy_exact: the others.",
       .apply =
           [](const Json& value, ServerConfig& config) {
             config.quant.layer.activation.mode = Parse(kActivationModeSpellings, value);
           }},
      {.key = "quant.act.group",
       .type = OptionType::kInteger,
       .default_value = 128,
       .integers = {32, 64, 128, 256},
       .help = "Columns that share a scale with dynamic_token_group.",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.quant.layer.activation.group); }},
      {.key = "quant.act.percentile",
       .type = OptionType::kNumber,
       .default_value = 99.9,
       .minimum = 0,
       .maximum = 100,
       .help = "Of the absolute values that a static scale is made from.",
       .apply =
           [](const Json& value, ServerConfig& config) {
             value.get_to(config.quant.layer.activation.percentile);
           }},
      {.key = "quant.act.calib_batches",
       .type = OptionType::kInteger,
       .default_value = 32,
       .minimum = 1,
       .maximum = 100'000,
       .help = "Forwards of a layer that static scales are made from.",
       .apply =
           [](const Json& value, ServerConfig& config) {
             value.get_to(config.quant.layer.activation.calib_batches);
           }},
  };
}

std::vector<Option> TransformOptions() {
  return {
      {.key = "quant.transform.smooth.mode",
       .default_value = "off",
       .values = Names(kSmoothModeSpellings),
       .help = "Smoothing: activations divided, weights multiplied by a scale per column.",
       .apply =
           [](const Json& value, ServerConfig& config) {
             config.quant.layer.transform.smooth = Parse(kSmoothModeSpellings, value);
           }},
      {.key = "quant.transform.smooth.file",
       .when_unset = "none",
       .form = "a path",
       .is_path = true,
       .help = "The smoothing scales: JSON, {\"layers\": {NAME: [numbers]}}.",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.quant.smooth_file); }},
      {.key = "quant.transform.fold",
       .type = OptionType::kBoolean,
       .default_value = true,
       .help = "Engines int and fake: smoothing scales go into the norm in front, where it feeds "
               "nothing else; false: every layer divides.",
       .apply = [](const Json& value, ServerConfig& config) { value.get_to(config.quant.fold); }},
      {.key = "quant.transform.permute",
       .default_value = "off",
       .values = Names(kPermuteSpellings),
       .help = "Order of columns: weight_zigzag is openpi_duquant's, act_snake DuQuant's (needs "
               "quant.calibration_file).",
       .apply =
           [](const Json& value, ServerConfig& config) {
             config.quant.layer.transform.permute = Parse(kPermuteSpellings, value);
           }},
      {.key = "quant.transform.rotate_in",
       .default_value = "hadamard",
       .values = Names(kRotateInSpellings),
       .help = "Rotation of blocks of columns; weight_svd is openpi_duquant's, duquant_greedy "
               "DuQuant's (needs quant.calibration_file).",
       .apply =
           [](const Json& value, ServerConfig& config) {
             config.quant.layer.transform.rotate_in = Parse(kRotateInSpellings, value);
           }},
      {.key = "quant.transform.block",
       .type = OptionType::kInteger,
       .default_value = 64,
       .integers = {16, 32, 64, 128, 256},
       .help = "Columns that are rotated together; where it does not divide a layer's columns, the "
               "largest power of two that does (weight_svd: a shorter last block).",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.quant.layer.transform.block); }},
      {.key = "quant.transform.rotate_out",
       .default_value = "off",
       .values = Names(kRotateOutSpellings),
       .help = "Rotation of blocks of rows, undone behind the layer (restore) or never (propagate, "
               "legacy_exact only).",
       .apply =
           [](const Json& value, ServerConfig& config) {
             config.quant.layer.transform.rotate_out = Parse(kRotateOutSpellings, value);
           }},
      {.key = "quant.transform.block_out",
       .type = OptionType::kInteger,
       .default_value = 0,
       .integers = {0, 16, 32, 64, 128, 256},
       .help = "Rows that are rotated together; 0: as quant.transform.block.",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.quant.layer.transform.block_out); }},
  };
}

std::vector<Option> OtherOptions() {
  return {
      {.key = "quant.sites",
       .type = OptionType::kSettingsMap,
       .default_value = Json::object(),
       .form = "an object of site globs and settings",
       .settings = {"quant.weight.", "quant.act.", "quant.transform."},
       .help = "Settings of single sites, for instance {\"llm.*.down\": {\"weight.bits\": 8}}; a "
               "longer glob wins over a shorter one.",
       .apply = ApplySites},
      {.key = "quant.calibration_file",
       .when_unset = "none",
       .form = "a path",
       .is_path = true,
       .help = "What `vlaserve calibrate` recorded.",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.quant.calibration_file); }},
      {.key = "quant.precache_weights",
       .type = OptionType::kBoolean,
       .default_value = true,
       .help =
           "Engine legacy_exact keeps the weights it computes with; false: less memory, slower.",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.quant.precache_weights); }},
      {.key = "quant.dry_run",
       .type = OptionType::kBoolean,
       .default_value = false,
       .help = "List what would be quantized and serve float.",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.quant.dry_run); }},
      {.key = "quant.debug",
       .type = OptionType::kBoolean,
       .default_value = false,
       .help = "Log [DUQUANT][CACHE] and [DUQUANT][FORWARD], once per layer.",
       .apply = [](const Json& value, ServerConfig& config) { value.get_to(config.quant.debug); }},
      {.key = "quant.profile",
       .type = OptionType::kBoolean,
       .default_value = false,
       .help = "Measure and print the tables [DUQUANT][PROFILE] and [POLICY][PROFILE].",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.quant.profile); }},
  };
}

std::vector<Option> PackCacheOptionTable() {
  return {
      {.key = "pack_cache.dir",
       .when_unset = "$XDG_CACHE_HOME/vlaserve/packs, else ~/.cache/vlaserve/packs",
       .form = "a path",
       .is_path = true,
       .help = "Folder of the pack cache; it is made if there is none.",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.pack_cache.directory); }},
      {.key = "pack_cache.mode",
       .default_value = "rw",
       .values = {"rw", "ro", "off"},
       .help = "Read and write, read only, or no cache.",
       .apply = [](const Json& value,
                   ServerConfig& config) { config.pack_cache.mode = ParseMode(value); }},
      {.key = "pack_cache.on_mismatch",
       .default_value = "rebuild",
       .values = {"rebuild", "error"},
       .help = "A damaged pack is built again, or stops the start.",
       .apply =
           [](const Json& value, ServerConfig& config) {
             config.pack_cache.on_mismatch = value == "error"
                                                 ? PackCacheOptions::OnMismatch::kError
                                                 : PackCacheOptions::OnMismatch::kRebuild;
           }},
      {.key = "pack_cache.verify",
       .default_value = "always",
       .values = {"always", "never"},
       .help = "Check the checksums of a pack when it is loaded.",
       .apply =
           [](const Json& value, ServerConfig& config) {
             config.pack_cache.verify = value == "never" ? PackCacheOptions::Verify::kNever
                                                         : PackCacheOptions::Verify::kAlways;
           }},
      {.key = "pack_cache.max_bytes",
       .type = OptionType::kInteger,
       .default_value = 0,
       .minimum = 0,
       .maximum = 1e15,
       .help = "Above it the least recently used packs are removed; 0: no limit.",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.pack_cache.max_bytes); }},
      {.key = "pack_cache.import_npz",
       .when_unset = "none",
       .form = "a path",
       .is_path = true,
       .help =
           "Folder with .npz packs of openpi_duquant, whose transforms are used where a layer has "
           "one.",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.quant.npz_folder); }},
  };
}

}  // namespace

std::vector<Option> QuantOptions() {
  std::vector<Option> all;
  for (const auto& part : {GeneralOptions, SelectOptions, NumericOptions, TransformOptions,
                           OtherOptions, PackCacheOptionTable}) {
    std::vector<Option> options = part();
    all.insert(all.end(), std::make_move_iterator(options.begin()),
               std::make_move_iterator(options.end()));
  }
  return all;
}

}  // namespace vlaserve
