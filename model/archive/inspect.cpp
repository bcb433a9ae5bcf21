#include "model/archive/inspect.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <map>
#include <optional>
#include <string_view>

#include "model/checkpoint/geometry_json.h"

namespace vlaserve {
namespace {

using Json = nlohmann::ordered_json;

// Text that an archive's checks have parsed before.
Json Parsed(const std::string& text) { return Json::parse(text, nullptr, false); }

struct StoredLinear {
  std::string_view dtype;  // empty if it is not stored
  uint64_t bytes = 0;      // weight and bias
};

StoredLinear Stored(const Archive& archive, const LinearInfo& linear) {
  StoredLinear stored;
  for (const char* parameter : {".weight", ".bias"}) {
    const auto found = archive.digests().find(linear.name + parameter);
    if (!linear.live || found == archive.digests().end()) continue;
    if (stored.dtype.empty()) stored.dtype = DTypeName(found->second.dtype);
    stored.bytes += found->second.bytes;
  }
  return stored;
}

struct Sum {
  uint64_t count = 0;
  uint64_t elements = 0;
  uint64_t bytes = 0;
};

std::map<std::string_view, Sum> SumByDtype(const Archive& archive) {
  std::map<std::string_view, Sum> sums;
  for (const auto& [name, digest] : archive.digests()) {
    Sum& sum = sums[DTypeName(digest.dtype)];
    ++sum.count;
    sum.elements += digest.bytes / DTypeSize(digest.dtype);
    sum.bytes += digest.bytes;
  }
  return sums;
}

// "10.8 MB", "15.3 kB"
std::string Size(uint64_t bytes) {
  std::array<char, 48> text{};
  const bool mega = bytes >= 1'000'000;
  std::snprintf(text.data(), text.size(), mega ? "%.1f MB" : "%.1f kB",
                static_cast<double>(bytes) / (mega ? 1e6 : 1e3));
  return text.data();
}

std::string PadRight(std::string text, size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}
std::string PadLeft(const std::string& text, size_t width) {
  return std::string(width - std::min(width, text.size()), ' ') + text;
}

std::string CameraList(const PolicySettings& settings) {
  std::string text;
  for (const Camera& camera : settings.cameras) {
    if (!text.empty()) text += ", ";
    text += camera.name.value_or("(empty)") + " → " + camera.slot;
    if (camera.optional) text += " (optional)";
  }
  return text;
}

std::string LinearTable(const Archive& archive) {
  size_t name_width = 4;
  for (const LinearInfo& linear : archive.linears()) {
    name_width = std::max(name_width, linear.name.size());
  }
  std::string text =
      PadRight("name", name_width) + "      in      out  bias  live  dtype       bytes\n";
  for (const LinearInfo& linear : archive.linears()) {
    const StoredLinear stored = Stored(archive, linear);
    text += PadRight(linear.name, name_width);
    text += PadLeft(std::to_string(linear.in_features), 8);
    text += PadLeft(std::to_string(linear.out_features), 9);
    text += linear.bias ? "  yes " : "  no  ";
    text += linear.live ? "  yes " : "  no  ";
    text += "  " + PadRight(stored.dtype.empty() ? "-" : std::string(stored.dtype), 5);
    text += PadLeft(std::to_string(stored.bytes), 12) + "\n";
  }
  return text;
}

}  // namespace

Json InspectJson(const Archive& archive) {
  Json json;
  json["path"] = archive.path();
  json["file_bytes"] = archive.file_bytes();
  json["archive_sha256"] = archive.archive_sha256();
  json["policy"] = Parsed(PolicySettingsToJson(archive.settings()));
  json["geometry"] = Parsed(GeometryToJson(archive.geometry()));
  json["norm_stats"] = Parsed(NormStatsToJson(archive.norm_stats()));
  json["export"] = archive.export_json().empty() ? Json(nullptr) : Parsed(archive.export_json());
  json["tokenizer_bytes"] = archive.tokenizer_model().size();
  json["methods"] = archive.methods();

  Sum total;
  Json by_dtype = Json::object();
  for (const auto& [dtype, sum] : SumByDtype(archive)) {
    total.count += sum.count;
    total.elements += sum.elements;
    total.bytes += sum.bytes;
    by_dtype[std::string(dtype)] = {{"count", sum.count}, {"bytes", sum.bytes}};
  }
  json["tensors"] = {{"count", total.count},
                     {"elements", total.elements},
                     {"bytes", total.bytes},
                     {"by_dtype", std::move(by_dtype)}};

  Json linears = Json::array();
  for (const LinearInfo& linear : archive.linears()) {
    const StoredLinear stored = Stored(archive, linear);
    linears.push_back({{"name", linear.name},
                       {"in", linear.in_features},
                       {"out", linear.out_features},
                       {"bias", linear.bias},
                       {"live", linear.live},
                       {"dtype", stored.dtype.empty() ? Json(nullptr) : Json(stored.dtype)},
                       {"bytes", stored.bytes}});
  }
  json["linears"] = std::move(linears);
  return json;
}

std::string InspectText(const Archive& archive) {
  const PolicySettings& settings = archive.settings();
  const Geometry& g = archive.geometry();
  const auto number = [](int64_t value) { return std::to_string(value); };
  const auto stack = [&](int64_t width, int64_t mlp) {
    return "width " + number(width) + ", depth " + number(g.depth) + ", MLP " + number(mlp);
  };

  std::string text = "archive     " + archive.path() + ", " + Size(archive.file_bytes()) + "\n";
  text += "weights     SHA-256 " + archive.archive_sha256() + "\n";
  text += "policy      " + settings.name + " (" + std::string(PolicyTypeName(g.type)) + ")\n";
  text += "cameras     " + CameraList(settings) + "\n";
  text += "state       " + number(settings.state_dim) + " dimensions" +
          (settings.state_in_prompt() ? ", in the prompt" : "") + "\n";
  text += "actions     " + number(g.horizon) + " × " + number(settings.output_action_dim) + " of " +
          number(g.action_dim) + " dimensions, " + number(settings.num_steps) +
          " denoise steps, normalisation " +
          (settings.normalization == Normalization::kZScore ? "z-score" : "quantile") +
          (settings.delta_action_mask.empty() ? "" : ", some relative to the state") + "\n";
  text += "prompt      " + number(g.prompt_slots) + " tokens of " + number(g.vocab_size) +
          ", tokenizer " + Size(archive.tokenizer_model().size()) + "\n";
  text += "vision      width " + number(g.vision_width) + ", depth " + number(g.vision_depth) +
          ", MLP " + number(g.vision_mlp) + ", heads " + number(g.vision_heads) + "; image " +
          number(g.image_size) + ", patch " + number(g.patch_size) + ", " +
          number(g.tokens_per_camera()) + " tokens a camera\n";
  text += "LLM         " + stack(g.llm_width, g.llm_mlp) + "\n";
  text += "expert      " + stack(g.expert_width, g.expert_mlp) + "; heads " + number(g.heads) +
          ", KV heads " + number(g.kv_heads) + ", head size " + number(g.head_dim) + "\n";
  for (const auto& [dtype, sum] : SumByDtype(archive)) {
    text += "tensors     " + PadRight(std::string(dtype), 5) + std::to_string(sum.count) +
            " tensors, " + std::to_string(sum.elements) + " elements, " + Size(sum.bytes) + "\n";
  }
  for (const std::string& method : archive.methods()) text += "method      " + method + "\n";
  return text + "\n" + LinearTable(archive);
}

}  // namespace vlaserve
