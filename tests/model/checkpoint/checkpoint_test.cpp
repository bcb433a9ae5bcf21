#include "model/checkpoint/checkpoint.h"

#include <functional>

#include <nlohmann/json.hpp>

#include "model/checkpoint/geometry_json.h"
#include "tests/model/checkpoint/stored_tensors.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {
namespace {

using nlohmann::json;

const std::string kPaligemma = "paligemma_with_expert.paligemma.";
const std::string kExpert = "paligemma_with_expert.gemma_expert.model.";
const std::string kLmHead = kPaligemma + "lm_head.weight";
const std::string kEmbedding = kPaligemma + "model.language_model.embed_tokens.weight";

PolicySettings Policy(PolicyType type) {
  PolicySettings policy;
  policy.name = "test";
  policy.type = type;
  policy.state_dim = 4;
  policy.output_action_dim = 3;
  policy.cameras = {{"base_0_rgb", "image", std::nullopt, false}};
  return policy;
}

Result<Checkpoint> Open(const TempDir& dir,
                        const std::optional<PolicySettings>& policy = std::nullopt) {
  return OpenCheckpoint(PosixFileSystem(), dir.path(), policy);
}

Checkpoint OpenOk(const TempDir& dir, const std::optional<PolicySettings>& policy = std::nullopt) {
  Result<Checkpoint> checkpoint = Open(dir, policy);
  INFO(checkpoint.status().message());
  REQUIRE(checkpoint.ok());
  return *std::move(checkpoint);
}

void ExpectError(const Result<Checkpoint>& checkpoint, StatusCode code,
                 std::initializer_list<std::string> texts) {
  REQUIRE_FALSE(checkpoint.ok());
  CAPTURE(checkpoint.status().message());
  CHECK(checkpoint.status().code() == code);
  for (const std::string& text : texts) {
    CAPTURE(text);
    CHECK(checkpoint.status().message().find(text) != std::string::npos);
  }
}

// Writes a complete openpi checkpoint of SmallGeometry(type) after `change`, then opens it.
Result<Checkpoint> OpenChanged(PolicyType type, const std::function<void(StoredTensors&)>& change,
                               const std::string& geometry_patch = "{}") {
  TempDir dir;
  const Geometry geometry = SmallGeometry(type);
  StoredTensors tensors = OpenpiTensors(geometry);
  change(tensors);
  WriteTensors(dir.File("model.safetensors"), tensors);
  json sizes = json::parse(GeometryToJson(geometry));
  sizes.merge_patch(json::parse(geometry_patch));
  dir.Write("geometry.json", sizes.dump());
  return Open(dir);
}

}  // namespace

TEST_CASE("all sizes follow from tensors, horizon and prompt slots from the policy") {
  for (const PolicyType type : {PolicyType::kPi0, PolicyType::kPi05}) {
    TempDir dir;
    const Geometry geometry = SmallGeometry(type);
    WriteTensors(dir.File("model.safetensors"), OpenpiTensors(geometry));
    PolicySettings policy = Policy(type);
    policy.horizon = geometry.horizon;
    policy.prompt_slots = geometry.prompt_slots;
    const Checkpoint checkpoint = OpenOk(dir, policy);
    CHECK(checkpoint.geometry == geometry);
    CHECK(checkpoint.layout == CheckpointLayout::kOpenpi);
    REQUIRE(checkpoint.settings.has_value());
    CHECK(checkpoint.settings->vision_heads == 16);
    CHECK(checkpoint.tensors.size() == ExpectedTensors(geometry).size());
    CHECK(checkpoint.tensors.contains(kEmbedding));
    CHECK_FALSE(checkpoint.tensors.contains(kLmHead));
  }
}

TEST_CASE("several KV heads are read where geometry.json states them") {
  TempDir dir;
  Geometry geometry = SmallGeometry(PolicyType::kPi0);
  geometry.kv_heads = 2;
  geometry.vision_heads = 8;
  geometry.rope_theta = 5000;
  WriteTensors(dir.File("model.safetensors"), OpenpiTensors(geometry));
  dir.Write("geometry.json", GeometryToJson(geometry));
  CHECK(OpenOk(dir).geometry == geometry);
}

TEST_CASE("a picture may be larger than its whole patches") {
  TempDir dir;
  Geometry geometry = SmallGeometry(PolicyType::kPi0);
  geometry.image_size = 30;
  WriteTensors(dir.File("model.safetensors"), OpenpiTensors(geometry));
  dir.Write("geometry.json", GeometryToJson(geometry));
  CHECK(OpenOk(dir).geometry.image_size == 30);
}

TEST_CASE("a sharded checkpoint reads like a single file") {
  TempDir dir;
  const Geometry geometry = SmallGeometry(PolicyType::kPi05);
  const StoredTensors tensors = OpenpiTensors(geometry);
  StoredTensors shards[2];
  json index;
  size_t position = 0;
  for (const auto& [name, tensor] : tensors) {
    const size_t shard = position++ % 2;
    shards[shard][name] = tensor;
    index["weight_map"][name] =
        shard == 0 ? "model-00001-of-00002.safetensors" : "model-00002-of-00002.safetensors";
  }
  WriteTensors(dir.File("model-00001-of-00002.safetensors"), shards[0]);
  WriteTensors(dir.File("model-00002-of-00002.safetensors"), shards[1]);
  dir.Write("model.safetensors.index.json", index.dump());
  dir.Write("geometry.json", GeometryToJson(geometry));
  const Checkpoint checkpoint = OpenOk(dir);
  CHECK(checkpoint.geometry == geometry);
  for (const auto& [name, view] : checkpoint.tensors) {
    CHECK((Bytes(view) == tensors.at(name == kEmbedding ? kLmHead : name).bytes));
  }
}

TEST_CASE("of two names for the embedding the real one wins") {
  const Result<Checkpoint> checkpoint = OpenChanged(PolicyType::kPi0, [](StoredTensors& tensors) {
    tensors[kEmbedding] = FilledTensor("newer", tensors[kLmHead].shape);
  });
  INFO(checkpoint.status().message());
  REQUIRE(checkpoint.ok());
  CHECK(Bytes(checkpoint->tensors.at(kEmbedding)).starts_with("newer"));
}

TEST_CASE("what is stored but never used is left out") {
  const Result<Checkpoint> pi0 = OpenChanged(PolicyType::kPi0, [](StoredTensors& tensors) {
    for (const char* name :
         {"paligemma_with_expert.gemma_expert.lm_head.weight", "normalize_inputs.buffer_x.mean",
          "paligemma_with_expert.gemma_expert.model.rotary_emb.inv_freq"}) {
      tensors[name] = FilledTensor(name, {2});
    }
  });
  INFO(pi0.status().message());
  REQUIRE(pi0.ok());
  CHECK(pi0->tensors.size() == ExpectedTensors(SmallGeometry(PolicyType::kPi0)).size());

  const Result<Checkpoint> pi05 = OpenChanged(PolicyType::kPi05, [](StoredTensors& tensors) {
    const std::string unused[] = {"state_proj.weight", "state_proj.bias", kExpert + "norm.weight",
                                  kExpert + "layers.0.input_layernorm.weight"};
    for (const std::string& name : unused) {
      tensors[name] = FilledTensor(name, {12});
    }
  });
  INFO(pi05.status().message());
  REQUIRE(pi05.ok());
  CHECK(pi05->tensors.size() == ExpectedTensors(SmallGeometry(PolicyType::kPi05)).size());
}

TEST_CASE("a pi05 whose time MLP is named like pi0's is read") {
  const Result<Checkpoint> checkpoint = OpenChanged(PolicyType::kPi05, [](StoredTensors& tensors) {
    for (const char* part : {"in.weight", "in.bias", "out.weight", "out.bias"}) {
      auto node = tensors.extract(std::string("time_mlp_") + part);
      node.key() = std::string("action_time_mlp_") + part;
      tensors.insert(std::move(node));
    }
  });
  INFO(checkpoint.status().message());
  REQUIRE(checkpoint.ok());
  CHECK(Bytes(checkpoint->tensors.at("time_mlp_in.bias")).starts_with("time_mlp_in.bias"));
}

TEST_CASE("tensors that do not make a model are refused by name") {
  const std::string q_proj = kExpert + "layers.1.self_attn.q_proj.weight";
  ExpectError(OpenChanged(PolicyType::kPi0, [&](StoredTensors& t) { t.erase(q_proj); }),
              StatusCode::kUnreadable, {"model.safetensors: ", q_proj, "missing", "pi0"});
  ExpectError(OpenChanged(PolicyType::kPi0,
                          [](StoredTensors& t) {
                            t.erase("action_in_proj.bias");
                            t.erase("action_out_proj.bias");
                          }),
              StatusCode::kUnreadable, {"action_in_proj.bias is missing", "1 others"});
  ExpectError(OpenChanged(PolicyType::kPi0,
                          [&](StoredTensors& t) {
                            t[q_proj] = FilledTensor("", {12, 24});
                          }),
              StatusCode::kUnreadable, {q_proj, "expected shape [24, 12]", "found [12, 24]"});
  ExpectError(OpenChanged(PolicyType::kPi0,
                          [&](StoredTensors& t) {
                            t[q_proj] = FilledTensor("", {24, 12}, DType::kI32);
                          }),
              StatusCode::kUnreadable, {q_proj, "expected F32, BF16 or F16, found I32"});
  ExpectError(OpenChanged(PolicyType::kPi0,
                          [](StoredTensors& t) { t["surprise.weight"] = FilledTensor("", {1}); }),
              StatusCode::kUnreadable, {"surprise.weight", "not part of a pi0 model"});
  ExpectError(OpenChanged(PolicyType::kPi0, [](StoredTensors& t) { t.erase(kLmHead); }),
              StatusCode::kUnreadable, {kEmbedding, "missing"});
  ExpectError(
      OpenChanged(PolicyType::kPi0, [](StoredTensors& t) { t[kLmHead] = FilledTensor("", {800}); }),
      StatusCode::kUnreadable, {kLmHead, "2 dimensions", "[800]"});
  ExpectError(
      OpenChanged(PolicyType::kPi0,
                  [](StoredTensors& t) { t["model.state_proj.bias"] = t["state_proj.bias"]; }),
      StatusCode::kUnreadable, {"model.state_proj.bias", "are both state_proj.bias"});
}

TEST_CASE("a model of mixed types is refused by the tensor that does not belong") {
  const std::string dense = kExpert + "layers.1.input_layernorm.dense.weight";
  ExpectError(OpenChanged(PolicyType::kPi0,
                          [&](StoredTensors& t) {
                            t[dense] = FilledTensor("", {36, 12});
                          }),
              StatusCode::kUnreadable, {dense, "exists only in pi05", "make this a pi0"});
  ExpectError(OpenChanged(
                  PolicyType::kPi05, [](StoredTensors&) {}, R"({"model_type": "pi0"})"),
              StatusCode::kUnreadable, {"geometry.json is for pi0", "holds a pi05", "time_mlp_in"});
  ExpectError(OpenChanged(PolicyType::kPi0, [](StoredTensors& t) { t.erase("state_proj.weight"); }),
              StatusCode::kUnreadable, {"neither pi0 nor pi05", "state_proj.weight"});
}

TEST_CASE("sizes that geometry.json states otherwise are refused with both numbers") {
  const auto none = [](StoredTensors&) {};
  ExpectError(OpenChanged(PolicyType::kPi0, none, R"({"vocab_size": 41})"), StatusCode::kUnreadable,
              {kLmHead, "[40, 20]", "geometry.json", "is 41"});
  ExpectError(
      OpenChanged(PolicyType::kPi0, none, R"({"llm": {"depth": 3}, "expert": {"depth": 3}})"),
      StatusCode::kUnreadable, {"has 2 layers", "says 3"});
  ExpectError(OpenChanged(PolicyType::kPi0, none, R"({"vision": {"layers": 1}})"),
              StatusCode::kUnreadable, {"vision tower has 2 layers", "says 1"});
  ExpectError(OpenChanged(PolicyType::kPi0, none, R"({"image_size": 42, "tokens_per_image": 9})"),
              StatusCode::kUnreadable, {"42 pixels", "2 x 2"});
  ExpectError(
      OpenChanged(PolicyType::kPi0, none, R"({"llm": {"heads": 8}, "expert": {"heads": 8}})"),
      StatusCode::kUnreadable, {"self_attn.q_proj.weight", "expected shape [48,", "found [24,"});
}

TEST_CASE("SigLIP heads that do not divide the width are refused") {
  TempDir dir;
  Geometry geometry = SmallGeometry(PolicyType::kPi0);
  geometry.vision_width = 36;
  WriteTensors(dir.File("model.safetensors"), OpenpiTensors(geometry));
  PolicySettings policy = Policy(PolicyType::kPi0);
  policy.horizon = 5;
  policy.prompt_slots = 9;
  ExpectError(Open(dir, policy), StatusCode::kInvalidArgument,
              {"vision width 36", "16 SigLIP heads", "vision_heads"});
  policy.vision_heads = 12;
  CHECK(OpenOk(dir, policy).geometry.vision_heads == 12);
}

TEST_CASE("horizon and prompt slots must come from somewhere") {
  TempDir dir;
  WriteTensors(dir.File("model.safetensors"), OpenpiTensors(SmallGeometry(PolicyType::kPi0)));
  ExpectError(Open(dir), StatusCode::kInvalidArgument, {"horizon", "action_horizon"});
  dir.Write("config.json", R"({"action_dim": 10, "action_horizon": 6, "precision": "float32"})");
  ExpectError(Open(dir), StatusCode::kInvalidArgument, {"prompt slots", "max_token_len"});
  PolicySettings policy = Policy(PolicyType::kPi0);
  policy.prompt_slots = 11;
  const Checkpoint checkpoint = OpenOk(dir, policy);
  CHECK(checkpoint.geometry.horizon == 6);
  CHECK(checkpoint.geometry.prompt_slots == 11);
  dir.Write("config.json", R"({"action_dim": 32, "action_horizon": 6})");
  ExpectError(Open(dir, policy), StatusCode::kUnreadable,
              {"10 action dimensions", "config.json says 32"});
}

TEST_CASE("a settings file that contradicts the checkpoint is refused, a named policy yields") {
  TempDir dir;
  WriteTensors(dir.File("model.safetensors"), OpenpiTensors(SmallGeometry(PolicyType::kPi0)));
  dir.Write("geometry.json", GeometryToJson(SmallGeometry(PolicyType::kPi0)));
  PolicySettings policy = Policy(PolicyType::kPi0);
  policy.horizon = 50;
  ExpectError(Open(dir, policy), StatusCode::kInvalidArgument,
              {"policy test", "action_horizon", "says 50", "has 5"});
  policy.checkpoint_wins = true;
  const Checkpoint checkpoint = OpenOk(dir, policy);
  CHECK(checkpoint.settings->horizon == 5);
  ExpectError(Open(dir, Policy(PolicyType::kPi05)), StatusCode::kInvalidArgument,
              {"policy test is for pi05", "holds a pi0", "state_proj.weight"});
}

TEST_CASE("policy.json beside the weights is used unless a policy is given") {
  TempDir dir;
  WriteTensors(dir.File("model.safetensors"), OpenpiTensors(SmallGeometry(PolicyType::kPi0)));
  PolicySettings own = Policy(PolicyType::kPi0);
  own.name = "own";
  own.horizon = 5;
  own.prompt_slots = 9;
  dir.Write("policy.json", PolicySettingsToJson(own));
  CHECK(OpenOk(dir).settings->name == "own");
  PolicySettings given = Policy(PolicyType::kPi0);
  given.horizon = 8;
  given.prompt_slots = 9;
  const Checkpoint checkpoint = OpenOk(dir, given);
  CHECK(checkpoint.settings->name == "test");
  CHECK(checkpoint.geometry.horizon == 8);
  dir.Write("geometry.json", GeometryToJson(SmallGeometry(PolicyType::kPi0)));
  own.prompt_slots = 10;
  dir.Write("policy.json", PolicySettingsToJson(own));
  ExpectError(Open(dir), StatusCode::kInvalidArgument,
              {"policy.json: /max_token_len", "says 10", "has 9"});
}

TEST_CASE("files beside the weights that contradict each other are refused") {
  TempDir dir;
  WriteTensors(dir.File("model.safetensors"), OpenpiTensors(SmallGeometry(PolicyType::kPi0)));
  dir.Write("geometry.json", GeometryToJson(SmallGeometry(PolicyType::kPi0)));
  dir.Write("config.json", R"({"action_horizon": 50})");
  ExpectError(Open(dir), StatusCode::kUnreadable,
              {"config.json says the action horizon is 50", "geometry.json says 5"});
  dir.Write("config.json", R"({"type": "pi05"})");
  ExpectError(Open(dir), StatusCode::kUnreadable, {"config.json says pi05", "says pi0"});
  dir.Write("config.json", R"({"type": "pi0_fast"})");
  ExpectError(Open(dir), StatusCode::kUnsupported, {"config.json: /type", "π0-FAST"});
  dir.Write("config.json", R"({"type": "act"})");
  ExpectError(Open(dir), StatusCode::kUnsupported, {"/type", "found \"act\""});
  dir.Write("config.json", "{");
  ExpectError(Open(dir), StatusCode::kUnreadable, {"config.json", "not valid JSON"});
}

TEST_CASE("directories without safetensors are refused with what they are") {
  TempDir empty;
  ExpectError(Open(empty), StatusCode::kNotFound,
              {"model.safetensors.index.json", "found nothing"});
  const std::string file = empty.Write("a.txt", "");
  ExpectError(OpenCheckpoint(PosixFileSystem(), file, std::nullopt), StatusCode::kNotFound,
              {"is a file"});
  ExpectError(OpenCheckpoint(PosixFileSystem(), empty.File("nowhere"), std::nullopt),
              StatusCode::kNotFound, {"nowhere: no such checkpoint directory"});
  ExpectError(Open(empty), StatusCode::kNotFound, {"found a.txt"});

  for (const char* entry :
       {"params/_METADATA", "_CHECKPOINT_METADATA", "manifest.ocdbt", "ocdbt.process_0/d"}) {
    TempDir orbax;
    orbax.Write(entry, "");
    ExpectError(Open(orbax), StatusCode::kUnsupported,
                {"JAX/orbax", "convert_jax_model_to_pytorch.py"});
  }
  for (const char* entry : {"pytorch_model.bin", "policy.pt", "weights.pth"}) {
    TempDir pickled;
    pickled.Write(entry, "");
    ExpectError(Open(pickled), StatusCode::kUnsupported, {"pickled", entry, "safetensors"});
  }
  TempDir lora;
  lora.Write("adapter_config.json", "{}");
  ExpectError(Open(lora), StatusCode::kUnsupported, {"LoRA", "merge"});
}

TEST_CASE("LoRA tensors and models without an action expert are refused with advice") {
  ExpectError(
      OpenChanged(
          PolicyType::kPi0,
          [](StoredTensors& t) {
            t[kExpert + "layers.0.self_attn.q_proj.lora_A.weight"] = FilledTensor("", {2, 2});
          }),
      StatusCode::kUnsupported, {"q_proj.lora_A.weight", "merge"});
  ExpectError(OpenChanged(PolicyType::kPi0,
                          [](StoredTensors& t) {
                            std::erase_if(t, [](const auto& entry) {
                              return !entry.first.starts_with(kPaligemma);
                            });
                          }),
              StatusCode::kUnsupported, {"no action expert", "π0-FAST"});
}

}  // namespace vlaserve
