#include "quant/select/select.h"

#include <algorithm>
#include <set>

#include "quant/select/python_regex.h"
#include "quant/select/site_glob.h"

namespace vlaserve {
namespace {

constexpr std::string_view kActionHead = "action_out_proj";
constexpr int64_t kHighestPacked = 8;

Status SettingError(std::string_view key, const std::string& message) {
  return {StatusCode::kInvalidArgument, std::string(key), message};
}

Result<PythonRegex> CompileOption(std::string_view key, const std::string& pattern) {
  auto regex = PythonRegex::Compile(pattern);
  if (!regex.ok()) {
    return SettingError(key, regex.status().message() + " in \"" + pattern + "\"");
  }
  return regex;
}

// Scope, exact names, expressions and groups.
class Filter {
 public:
  static Result<Filter> Make(const SelectSettings& settings) {
    Filter filter(settings);
    for (const std::string& group : settings.groups) {
      const auto known = GroupNames();
      if (std::find(known.begin(), known.end(), group) == known.end()) {
        std::string names;
        for (const std::string_view name : known) {
          names.append(names.empty() ? "" : ", ").append(name);
        }
        return SettingError("quant.select.groups",
                            "unknown group \"" + group + "\"; expected some of " + names);
      }
    }
    VLASERVE_ASSIGN_OR_RETURN(auto include,
                              CompileOption("quant.select.include", settings.include));
    filter.include_ = std::move(include);
    if (!settings.exclude_nothing) {
      VLASERVE_ASSIGN_OR_RETURN(auto exclude,
                                CompileOption("quant.select.exclude", settings.exclude));
      filter.exclude_ = std::move(exclude);
    }
    return filter;
  }

  Result<bool> Keeps(const std::string& name) const {
    if (!name.starts_with(settings_->scope)) return false;
    if (!settings_->layers.empty()) return IsListed(settings_->layers, name);
    VLASERVE_ASSIGN_OR_RETURN(const bool included, Search(*include_, name, "quant.select.include"));
    if (!included) return false;
    if (exclude_) {
      VLASERVE_ASSIGN_OR_RETURN(const bool excluded,
                                Search(*exclude_, name, "quant.select.exclude"));
      if (excluded) return false;
    }
    return settings_->groups.empty() || IsListed(settings_->groups, GroupOf(name));
  }

 private:
  explicit Filter(const SelectSettings& settings) : settings_(&settings) {}

  static bool IsListed(const std::vector<std::string>& list, std::string_view name) {
    return std::find(list.begin(), list.end(), name) != list.end();
  }

  static Result<bool> Search(const PythonRegex& regex, const std::string& name,
                             std::string_view key) {
    auto found = regex.Search(name);
    if (!found.ok()) {
      return SettingError(key, "\"" + regex.pattern() + "\": " + found.status().message());
    }
    return found;
  }

  const SelectSettings* settings_;
  std::optional<PythonRegex> include_;
  std::optional<PythonRegex> exclude_;
};

// Names in the configuration that are none of a linear or site: an error, or a note.
Status CheckNames(std::span<const LinearInfo> linears, const QuantConfig& config,
                  std::vector<std::string>& notes) {
  std::set<std::string_view> names;
  for (const LinearInfo& linear : linears) names.insert(linear.name);
  const auto check = [&](std::string_view key, const std::string& name) {
    if (names.contains(name)) return Status::Ok();
    const std::string message = "\"" + name + "\" is the name of no linear";
    if (!config.select.allow_unknown_names) return SettingError(key, message);
    notes.push_back(std::string(key) + ": " + message + ": no effect");
    return Status::Ok();
  };
  for (const std::string& name : config.select.layers) {
    VLASERVE_RETURN_IF_ERROR(check("quant.select.layers", name));
  }
  for (const auto& [name, bits] : config.select.per_layer_wbits) {
    VLASERVE_RETURN_IF_ERROR(check("quant.select.per_layer_wbits", name));
  }
  for (const SiteOverride& site : config.sites) {
    const bool fits = std::any_of(linears.begin(), linears.end(), [&](const LinearInfo& linear) {
      return MatchesSite(site.glob, SiteOf(linear.name));
    });
    if (!fits) return SettingError("quant.sites", "\"" + site.glob + "\" matches no site");
  }
  return Status::Ok();
}

Status CheckWeightBits(const std::string& name, int64_t bits) {
  const bool known = bits == 0 || (bits >= 2 && bits <= kHighestPacked) || bits == 16 || bits == 32;
  if (known) return Status::Ok();
  return SettingError("quant.select.per_layer_wbits",
                      name + ": expected 0, 2 to 8, 16 or 32, found " + std::to_string(bits));
}

// Rotations whose blocks must divide the columns; openpi_duquant's has a shorter last block.
bool NarrowsBlocks(RotateIn rotation) {
  return rotation == RotateIn::kHadamard || rotation == RotateIn::kSvdHadamard ||
         rotation == RotateIn::kDuquantGreedy;
}

SelectedLayer Resolve(const LinearInfo& linear, const QuantConfig& config) {
  SelectedLayer layer;
  layer.linear = linear;
  layer.group = GroupOf(linear.name);
  layer.site = SiteOf(linear.name);
  layer.configured = config.layer;
  for (const SiteOverride& site : config.sites) {
    if (!MatchesSite(site.glob, layer.site)) continue;
    for (const auto& change : site.changes) change(layer.configured);
  }
  const auto bits = config.select.per_layer_wbits.find(linear.name);
  if (bits != config.select.per_layer_wbits.end()) layer.configured.weight.bits = bits->second;

  layer.settings = layer.configured;
  WeightSettings& weight = layer.settings.weight;
  if (weight.bits > kHighestPacked && !config.compat_bugs.wbits32_scale1) weight.bits = 0;
  ActivationSettings& activation = layer.settings.activation;
  if (activation.bits > kHighestPacked && !config.compat_bugs.wbits32_scale1) activation.bits = 0;
  TransformSettings& transform = layer.settings.transform;
  if (transform.block_out == 0) transform.block_out = transform.block;
  if (NarrowsBlocks(transform.rotate_in)) {
    transform.block = NarrowBlock(linear.in_features, transform.block);
  }
  return layer;
}

}  // namespace

Result<Selection> Select(std::span<const LinearInfo> linears, const QuantConfig& config) {
  Selection selection;
  VLASERVE_ASSIGN_OR_RETURN(const Filter filter, Filter::Make(config.select));
  VLASERVE_RETURN_IF_ERROR(CheckNames(linears, config, selection.notes));
  for (const LinearInfo& linear : linears) {
    VLASERVE_ASSIGN_OR_RETURN(const bool keep, filter.Keeps(linear.name));
    if (!keep) continue;
    ++selection.matched;
    if (linear.name.ends_with(kActionHead) && !config.select.include_action_head) continue;
    SelectedLayer layer = Resolve(linear, config);
    VLASERVE_RETURN_IF_ERROR(CheckWeightBits(linear.name, layer.configured.weight.bits));
    if (const Status status = CheckLayerSettings(config.engine, layer.settings); !status.ok()) {
      return Status(status.code(), status.field(), linear.name + ": " + status.message());
    }
    selection.layers.push_back(std::move(layer));
  }
  return selection;
}

int64_t NarrowBlock(int64_t columns, int64_t block) {
  int64_t narrowed = 1;
  while (narrowed * 2 <= block && columns % (narrowed * 2) == 0) narrowed *= 2;
  return narrowed;
}

}  // namespace vlaserve
