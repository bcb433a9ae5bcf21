#include "quant/bench/bench_shapes.h"

#include <charconv>
#include <optional>

namespace vlaserve {
namespace {

constexpr int64_t kMaxFeatures = 65536;  // kernels/panels.h: K

std::optional<int64_t> ParseFeatures(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (value < 1 || value > kMaxFeatures) return std::nullopt;
  return value;
}

// "2048x512"
std::optional<BenchShape> ParseLinear(const std::string& name) {
  const size_t cross = name.find('x');
  if (cross == std::string::npos) return std::nullopt;
  const auto in = ParseFeatures(std::string_view(name).substr(0, cross));
  const auto out = ParseFeatures(std::string_view(name).substr(cross + 1));
  if (!in || !out) return std::nullopt;
  return BenchShape{name, LinearShape{*in, *out}};
}

bool Means(const std::string& name, const BenchShape& shape) {
  return shape.name == name || shape.name.substr(0, shape.name.find('.')) == name;
}

std::string AllNames() {
  std::string names;
  for (const BenchShape& shape : PolicyShapes()) {
    names += (names.empty() ? "" : ", ") + shape.name;
  }
  return names;
}

}  // namespace

std::string SizesText(const BenchShape& shape) {
  if (const auto* linear = std::get_if<LinearShape>(&shape.sizes)) {
    return std::to_string(linear->in_features) + " -> " + std::to_string(linear->out_features);
  }
  if (const auto* mlp = std::get_if<GatedMlpShape>(&shape.sizes)) {
    const std::string width = std::to_string(mlp->width);
    return width + " -> " + std::to_string(mlp->hidden) + " -> " + width;
  }
  const auto& attention = std::get<AttentionShape>(shape.sizes);
  return std::to_string(attention.batch) + " x " + std::to_string(attention.heads) + " heads of " +
         std::to_string(attention.head_dim) + ", " + std::to_string(attention.queries) + " x " +
         std::to_string(attention.keys);
}

const std::vector<BenchShape>& PolicyShapes() {
  static const std::vector<BenchShape> shapes = {
      {"llm.qkv", LinearShape{2048, 2560}},
      {"llm.o", LinearShape{2048, 2048}},
      {"llm.gate_up", LinearShape{2048, 32768}},
      {"llm.down", LinearShape{16384, 2048}},
      {"llm.mlp", GatedMlpShape{2048, 16384}},
      {"llm.attention", AttentionShape{1, 8, 1, 816, 816, 256}},
      {"expert.qkv", LinearShape{1024, 2560}},
      {"expert.o", LinearShape{2048, 1024}},
      {"expert.gate_up", LinearShape{1024, 8192}},
      {"expert.down", LinearShape{4096, 1024}},
      {"expert.mlp", GatedMlpShape{1024, 4096}},
      {"expert.attention", AttentionShape{1, 8, 1, 51, 867, 256}},
      {"vision.qkv", LinearShape{1152, 3456}},
      {"vision.o", LinearShape{1152, 1152}},
      {"vision.fc1", LinearShape{1152, 4304}},
      {"vision.fc2", LinearShape{4304, 1152}},
      {"vision.projector", LinearShape{1152, 2048}},
      {"vision.attention", AttentionShape{2, 16, 16, 256, 256, 72}},
  };
  return shapes;
}

Result<std::vector<BenchShape>> ChooseShapes(const std::vector<std::string>& names) {
  if (names.empty()) return PolicyShapes();
  std::vector<BenchShape> own;
  std::vector<bool> chosen(PolicyShapes().size());
  for (const std::string& name : names) {
    if (const auto linear = ParseLinear(name)) {
      own.push_back(*linear);
      continue;
    }
    bool found = false;
    for (size_t i = 0; i < chosen.size(); ++i) {
      if (!Means(name, PolicyShapes()[i])) continue;
      chosen[i] = true;
      found = true;
    }
    if (!found) {
      return Status(StatusCode::kInvalidArgument, "shapes",
                    "\"" + name + "\" is none of " + AllNames() +
                        ", no part of them (llm, expert, vision) and no KxN with 1 ... " +
                        std::to_string(kMaxFeatures));
    }
  }
  std::vector<BenchShape> shapes;
  for (size_t i = 0; i < chosen.size(); ++i) {
    if (chosen[i]) shapes.push_back(PolicyShapes()[i]);
  }
  shapes.insert(shapes.end(), own.begin(), own.end());
  return shapes;
}

}  // namespace vlaserve
