// Pi0Model::Trace: one recorded run, translated to the names of the golden data.

#include <array>
#include <functional>
#include <map>

#include <torch/csrc/jit/runtime/graph_executor.h>

#include "model/archive/torch_errors.h"
#include "model/policy/denoise_times.h"
#include "model/policy/pi0_model_impl.h"

namespace vlaserve {
namespace {

constexpr const char* kVision = "paligemma_with_expert.paligemma.model.vision_tower.vision_model.";
constexpr const char* kExpert = "paligemma_with_expert.gemma_expert.model.";

NamedArray ToArray(std::string name, const at::Tensor& tensor) {
  const at::Tensor wide = tensor.to(at::kFloat).contiguous();
  const float* data = wide.const_data_ptr<float>();
  return {std::move(name), wide.sizes().vec(), std::vector<float>(data, data + wide.numel())};
}

// Submodule outputs of a recorded call by path; an undefined tensor where the path is unknown (an
// archive whose code is structured differently), which the caller leaves out.
class Outputs {
 public:
  explicit Outputs(const MethodCall* call) {
    if (call == nullptr) return;
    for (const auto& [path, tensor] : call->submodule_outputs) outputs_.emplace(path, tensor);
  }
  at::Tensor Find(const std::string& path) const {
    const auto found = outputs_.find(path);
    return found == outputs_.end() ? at::Tensor() : found->second;
  }

 private:
  std::map<std::string, at::Tensor> outputs_;
};

class Collector {
 public:
  void Add(std::string name, const at::Tensor& tensor) {
    if (tensor.defined()) arrays.push_back(ToArray(std::move(name), tensor));
  }
  std::vector<NamedArray> arrays;
};

void CollectVision(const MethodTrace& trace, int64_t depth, Collector& collector) {
  const MethodCall* call = trace.FirstCall("encode_images");
  if (call == nullptr) return;
  const Outputs outputs(call);
  const at::Tensor embeddings = call->result.toTensor();
  const auto add = [&](const std::string& name, const std::string& path, int64_t camera) {
    const at::Tensor all = outputs.Find(kVision + path);
    if (all.defined()) collector.Add(name, all.select(0, camera));
  };
  for (int64_t camera = 0; camera < embeddings.size(0); ++camera) {
    const std::string slot = std::to_string(camera);
    add("vision." + slot + ".embeddings", "embeddings", camera);
    for (int64_t l = 0; l < depth; ++l) {
      const std::string layer = std::to_string(l);
      add("vision." + slot + ".layer" + layer, "encoder.layers." + layer, camera);
    }
    add("vision." + slot + ".post_layernorm", "post_layernorm", camera);
    collector.Add("image_emb." + slot, embeddings.select(0, camera));
  }
}

void CollectPrefix(const MethodTrace& trace, Collector& collector) {
  if (const MethodCall* call = trace.FirstCall("embed_prompt")) {
    collector.Add("token_emb", call->result.toTensor().select(0, 0));
  }
  const MethodCall* call = trace.FirstCall("encode_prefix");
  const int64_t length = call->arguments.at(0).toTensor().size(1);
  collector.Add("prefix_position_ids", call->arguments.at(1).toTensor().select(0, 0));
  const auto elements = call->result.toTupleRef().elements();
  for (size_t part = 0; part < 2; ++part) {
    const std::vector<at::Tensor> layers = elements[part].toTensorVector();
    for (size_t l = 0; l < layers.size(); ++l) {
      collector.Add((part == 0 ? "prefix_k." : "prefix_v.") + std::to_string(l),
                    layers[l].select(0, 0).narrow(1, 0, length));
    }
  }
}

// adaRMS modulation [2D+1, 3E] of the first step, as scale, shift and gate of every norm.
void CollectModulation(const at::Tensor& rows, int64_t depth, Collector& collector) {
  const auto add = [&](const std::string& name, int64_t row) {
    constexpr std::array<const char*, 3> kParts = {".scale", ".shift", ".gate"};
    const std::vector<at::Tensor> chunks = rows.select(0, row).chunk(3);
    for (size_t part = 0; part < kParts.size(); ++part) {
      collector.Add("adarms.step0." + name + kParts[part], chunks.at(part));
    }
  };
  for (int64_t l = 0; l < depth; ++l) {
    add("layer" + std::to_string(l) + ".input", 2 * l);
    add("layer" + std::to_string(l) + ".post_attention", 2 * l + 1);
  }
  add("final", 2 * depth);
}

void CollectExpert(const MethodTrace& trace, int64_t depth, Collector& collector) {
  const Outputs outputs(trace.FirstCall("denoise_step"));
  const auto find = [&](const std::string& path) {
    const at::Tensor all = outputs.Find(kExpert + path);
    return all.defined() ? all.select(0, 0) : all;
  };
  for (int64_t l = 0; l < depth; ++l) {
    const std::string layer = std::string("layers.").append(std::to_string(l));
    const std::string name = "expert.step0.layer" + std::to_string(l);
    collector.Add(name + ".input_norm", find(layer + ".input_layernorm"));
    // A block whose keys and values are written by a call of their own ends with `finish`.
    const at::Tensor finished = find(layer + ".finish");
    collector.Add(name, finished.defined() ? finished : find(layer));
  }
  collector.Add("expert.step0.final_norm", find("norm"));
}

}  // namespace

Result<std::vector<NamedArray>> Pi0Model::Trace(const ModelInput& input) {
  Impl& impl = *impl_;
  const ExactSavings none = {.drop_masked = false,
                             .last_layer_kv_only = false,
                             .state_token_once = false,
                             .step_table = false};
  MethodTrace trace(impl.module);
  VLASERVE_ASSIGN_OR_RETURN(const std::vector<float> actions,
                            impl.Generate(input, none, &trace, {}, nullptr));
  return CatchTorchErrors("trace", [&]() -> Result<std::vector<NamedArray>> {
    c10::InferenceMode inference;
    const torch::jit::GraphOptimizerEnabledGuard no_optimizer(false);
    const int64_t depth = impl.geometry.depth;
    Collector collector;
    CollectVision(trace, impl.geometry.vision_depth, collector);
    CollectPrefix(trace, collector);

    const MethodCall* first_step = trace.FirstCall("denoise_step");
    const at::Tensor time = first_step->arguments.at(1).toTensor();
    collector.Add("suffix_position_ids", first_step->arguments.at(7).toTensor().select(0, 0));
    collector.Add("time_emb.step0", trace.Run("time_embedding", {time}).toTensor().select(0, 0));
    const at::Tensor suffix =
        trace
            .Run("embed_suffix", {first_step->arguments.at(0), time, first_step->arguments.at(2),
                                  first_step->arguments.at(3)})
            .toTensor();
    collector.Add("suffix_emb.step0", suffix.select(0, 0));
    if (!impl.is_pi0()) {
      const at::Tensor rows = trace.Run("step_condition", {time}).toTensor();
      const at::Tensor mlp = Outputs(trace.FirstCall("step_condition")).Find("time_mlp_out");
      if (mlp.defined()) collector.Add("adarms.step0.cond", at::silu(mlp).select(0, 0));
      CollectModulation(rows.select(0, 0), depth, collector);
    }
    CollectExpert(trace, depth, collector);

    const std::vector<float> times = DenoiseTimes(impl.options.time_steps, input.num_steps);
    collector.arrays.push_back({"t", {input.num_steps}, times});
    std::vector<at::Tensor> states;
    std::vector<at::Tensor> velocities;
    for (const MethodCall& call : trace.calls()) {
      if (call.method != "denoise_step") continue;
      states.push_back(call.arguments.at(0).toTensor().select(0, 0));
      velocities.push_back(call.result.toTensor().select(0, 0));
    }
    for (size_t step = 0; step < velocities.size(); ++step) {
      collector.Add("v_t." + std::to_string(step), velocities[step]);
      const std::string name = "x_t." + std::to_string(step + 1);
      if (step + 1 < states.size()) {
        collector.Add(name, states[step + 1]);
      } else {
        collector.arrays.push_back(
            {name, {impl.geometry.horizon, impl.geometry.action_dim}, actions});
      }
    }
    return std::move(collector.arrays);
  });
}

}  // namespace vlaserve
