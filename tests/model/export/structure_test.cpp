// The form of the archive: FORMAT.md and the rules of model/torchscript/README.md.
#include <limits>
#include <set>

#include <torch/csrc/jit/passes/inliner.h>

#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/geometry_json.h"
#include "model/checkpoint/norm_stats.h"
#include "model/export/archive_writer.h"
#include "model/io/hash.h"
#include "tests/model/export/torch_archive.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"

namespace vlaserve {
namespace {

Geometry GeometryOf(const TorchArchive& archive) {
  const Result<Geometry> geometry = ParseGeometry(archive.Extra("geometry.json"), "geometry.json");
  INFO(geometry.status().message());
  REQUIRE(geometry.ok());
  return *geometry;
}

std::vector<std::string> EntryMethods(PolicyType type) {
  std::vector<std::string> methods = {"sample_actions", "encode_images",  "embed_prompt",
                                      "encode_prefix",  "step_condition", "denoise_step",
                                      "time_embedding", "embed_suffix"};
  if (type == PolicyType::kPi0) methods.push_back("encode_state");
  return methods;
}

// Module path of a value that is an attribute of the root or of a module below it, seen through
// dtype conversions; empty if it is anything else.
std::string AttributePath(const torch::jit::Value* value) {
  const torch::jit::Node* node = value->node();
  if (node->kind() == c10::aten::to) return AttributePath(node->input(0));
  if (node->kind() != c10::prim::GetAttr) return {};
  const std::string parent = AttributePath(node->input(0));
  return (parent.empty() ? "" : parent + ".") + node->s(c10::attr::name);
}

void CollectLinears(const torch::jit::Block* block, std::multiset<std::string>& paths) {
  for (const torch::jit::Node* node : block->nodes()) {
    if (node->kind() == c10::aten::linear) paths.insert(AttributePath(node->input(1)));
    for (const torch::jit::Block* inner : node->blocks()) CollectLinears(inner, paths);
  }
}

std::multiset<std::string> LinearsOf(const torch::jit::Module& module, const std::string& method) {
  const std::shared_ptr<torch::jit::Graph> graph = module.get_method(method).graph()->copy();
  torch::jit::Inline(*graph);
  std::multiset<std::string> paths;
  CollectLinears(graph->block(), paths);
  return paths;
}

TEST_CASE("archive: one class type per kind of module") {
  for (const std::string& folder : ModelFolders()) {
    const TorchArchive archive(folder);
    CHECK(archive.module.type()->name()->qualifiedName() == "__torch__.PI0Pytorch");
    std::map<std::string, const c10::Type*> types;
    size_t modules = 0;
    for (const torch::jit::Module& module : archive.module.modules()) {
      ++modules;
      const std::string name = module.type()->name()->qualifiedName();
      const auto [entry, is_new] = types.try_emplace(name, module.type().get());
      INFO(name);
      CHECK(entry->second == module.type().get());
      CHECK(name.find("mangle") == std::string::npos);
    }
    // Kinds do not multiply with depth.
    CHECK(types.size() <= 30);
    CHECK(modules > 3 * types.size());
  }
}

TEST_CASE("archive: every linear of the reference is in the graphs once, under its own path") {
  for (const std::string& folder : ModelFolders()) {
    const TorchArchive archive(folder);
    std::set<std::string> live;
    for (const LinearInfo& linear : ReferenceLinears(GeometryOf(archive))) {
      if (linear.live) live.insert(linear.name + ".weight");
    }
    const std::multiset<std::string> all = LinearsOf(archive.module, "sample_actions");
    CHECK(std::set<std::string>(all.begin(), all.end()) == live);
    for (const std::string& method : EntryMethods(TypeOfFolder(folder))) {
      const std::multiset<std::string> paths = LinearsOf(archive.module, method);
      for (const std::string& path : paths) {
        INFO(method << " " << path);
        CHECK(paths.count(path) == 1);
        CHECK(live.count(path) == 1);
      }
    }
  }
}

TEST_CASE("archive: parameters carry the checkpoint's names and shapes") {
  for (const std::string& folder : ModelFolders()) {
    const TorchArchive archive(folder);
    std::map<std::string, std::vector<int64_t>> expected;
    for (const ExpectedTensor& tensor : ExpectedTensors(GeometryOf(archive))) {
      expected[tensor.name] = tensor.shape;
    }
    std::map<std::string, std::vector<int64_t>> found;
    for (const auto& parameter : archive.module.named_parameters()) {
      found[parameter.name] = parameter.value.sizes().vec();
      CHECK(!parameter.value.requires_grad());
    }
    CHECK(found == expected);
  }
}

TEST_CASE("archive: the digests are those of the stored tensors, all of them") {
  for (const std::string& folder : ModelFolders()) {
    const TorchArchive archive(folder);
    const nlohmann::json digests = nlohmann::json::parse(archive.Extra("digests.json"));
    CHECK(digests.at("format") == 1);
    CHECK(digests.at("archive_sha256") == archive.summary.archive_sha256);
    size_t count = 0;
    const auto check = [&](const std::string& name, const at::Tensor& tensor) {
      INFO(name);
      const nlohmann::json& digest = digests.at("tensors").at(name);
      const std::span<const std::byte> bytes(static_cast<const std::byte*>(tensor.const_data_ptr()),
                                             tensor.nbytes());
      CHECK(digest.at("sha256") == Sha256Hex(bytes));
      CHECK(digest.at("crc32c") == Crc32c(bytes));
      CHECK(digest.at("bytes") == bytes.size());
      CHECK(digest.at("shape") == tensor.sizes().vec());
      CHECK(digest.at("dtype") == (tensor.scalar_type() == at::kBFloat16 ? "BF16" : "F32"));
      ++count;
    };
    for (const auto& parameter : archive.module.named_parameters()) {
      check(parameter.name, parameter.value);
    }
    for (const auto& buffer : archive.module.named_buffers()) check(buffer.name, buffer.value);
    CHECK(count == digests.at("tensors").size());
    CHECK(static_cast<int64_t>(count) == archive.summary.tensors);
  }
}

TEST_CASE("archive: the extra files hold what a server has to know") {
  const std::string folder = FolderOfType(PolicyType::kPi0);
  const TorchArchive archive(folder);
  const Geometry geometry = GeometryOf(archive);
  CHECK(geometry ==
        ParseGeometry(ReadAll(GoldenPath(folder + "/geometry.json")), "golden").value());

  const Result<PolicySettings> settings =
      ParsePolicySettings(archive.Extra("policy.json"), "policy.json");
  REQUIRE(settings.ok());
  CHECK(settings->horizon == geometry.horizon);
  CHECK(settings->prompt_slots == geometry.prompt_slots);
  CHECK(settings->action_dim == geometry.action_dim);
  CHECK(settings->image_size == geometry.image_size);
  CHECK(settings->patch_size == geometry.patch_size);

  const nlohmann::json linears = nlohmann::json::parse(archive.Extra("linears.json"));
  const std::vector<LinearInfo> expected = ReferenceLinears(geometry);
  REQUIRE(linears.at("linears").size() == expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const nlohmann::json& linear = linears.at("linears")[i];
    CHECK(linear.at("name") == expected[i].name);
    CHECK(linear.at("in") == expected[i].in_features);
    CHECK(linear.at("out") == expected[i].out_features);
    CHECK(linear.at("bias") == expected[i].bias);
    CHECK(linear.at("live") == expected[i].live);
  }

  CHECK(ParseNormStats(archive.Extra("norm_stats.json"), "norm_stats.json").ok());
  CHECK(archive.Extra("tokenizer.model") == ReadAll(GoldenPath("tokenizer/tokenizer.model")));
  CHECK(nlohmann::json::parse(archive.Extra("export.json")).at("format") == 1);
}

TEST_CASE("archive: stored dtypes are those asked for") {
  const TorchArchive archive(FolderOfType(PolicyType::kPi0), StoredDtype::kBfloat16);
  size_t narrow = 0;
  for (const auto& parameter : archive.module.named_parameters()) {
    narrow += parameter.value.scalar_type() == at::kBFloat16 ? 1 : 0;
  }
  CHECK(narrow > 0);
  const TorchArchive wide(FolderOfType(PolicyType::kPi05), StoredDtype::kFloat32);
  for (const auto& parameter : wide.module.named_parameters()) {
    CHECK(parameter.value.scalar_type() == at::kFloat);
  }
}

TEST_CASE("archive: the same input gives the same bytes") {
  for (const StoredDtype dtype : {StoredDtype::kAsStored, StoredDtype::kBfloat16}) {
    const std::string folder = FolderOfType(PolicyType::kPi0);
    const TorchArchive first(folder, dtype);
    const TorchArchive second(folder, dtype);
    CHECK(ReadAll(first.path) == ReadAll(second.path));
  }
}

TEST_CASE("archive: rotary frequencies follow the reference's formula") {
  Geometry geometry;
  geometry.head_dim = 256;
  const std::vector<float> frequencies = RopeInvFreq(geometry);
  REQUIRE(frequencies.size() == 128);
  CHECK(frequencies[0] == 1.0f);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    CHECK(frequencies[i] ==
          Approx(std::pow(10000.0, -2.0 * static_cast<double>(i) / 256.0)).epsilon(2e-7));
  }
}

// The switch must really decide about the last block, whose output nobody needs.
TEST_CASE("archive: kv_only_last skips the rest of the last block, and only that") {
  c10::InferenceMode inference;
  for (const std::string& folder : ModelFolders()) {
    const TorchArchive archive(folder, StoredDtype::kFloat32);
    const Geometry geometry = GeometryOf(archive);
    const auto encode = [&](bool kv_only_last) {
      const at::Tensor embeddings = at::ones({1, 3, geometry.llm_width});
      return archive.module.get_method("encode_prefix")(
          {embeddings, at::arange(3).unsqueeze(0), c10::IValue(), 2, kv_only_last});
    };
    const auto buffers = encode(false).toTuple()->elements();
    const auto skipped = encode(true).toTuple()->elements();
    for (size_t kind = 0; kind < 2; ++kind) {
      const c10::List<at::Tensor> a = buffers[kind].toTensorList();
      const c10::List<at::Tensor> b = skipped[kind].toTensorList();
      REQUIRE(a.size() == static_cast<size_t>(geometry.depth));
      for (size_t layer = 0; layer < a.size(); ++layer) {
        CHECK(a.get(layer).sizes().vec() ==
              std::vector<int64_t>{1, geometry.kv_heads, 5, geometry.head_dim});
        CHECK(at::equal(a.get(layer), b.get(layer)));
      }
    }
    const std::string poisoned = "paligemma_with_expert.paligemma.model.language_model.layers." +
                                 std::to_string(geometry.depth - 1) + ".mlp.down_proj.weight";
    for (const auto& parameter : archive.module.named_parameters()) {
      if (parameter.name == poisoned) {
        parameter.value.fill_(std::numeric_limits<float>::quiet_NaN());
      }
    }
    CHECK_NOTHROW(encode(true));
    CHECK_THROWS(encode(false));
  }
}

}  // namespace
}  // namespace vlaserve
