#include "model/policy/pi0_model.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>

#include <torch/csrc/jit/runtime/graph_executor.h>

#include "model/archive/torch_errors.h"
#include "model/policy/denoise_times.h"
#include "model/policy/pi0_model_impl.h"

namespace vlaserve {
namespace {

using Clock = std::chrono::steady_clock;

double MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// What every entry into LibTorch needs: no autograd bookkeeping, and TorchScript run as written
// (the profiling optimizer would run a method differently from its third call on).
struct RunGuard {
  c10::InferenceMode inference;
  torch::jit::GraphOptimizerEnabledGuard no_optimizer{false};
};

// The reference's value for "not allowed" in additive attention masks (spec pi0.md §2.5).
constexpr float kMasked = -2.3819763e38F;

at::Tensor FromFloats(const std::vector<float>& values, at::IntArrayRef shape) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  std::memcpy(tensor.mutable_data_ptr<float>(), values.data(), values.size() * sizeof(float));
  return tensor;
}

// [1, n]
at::Tensor FromInts(const std::vector<int64_t>& values) {
  return at::tensor(values, at::kLong).unsqueeze(0);
}

// The row vectors of an attention bias: 0 where a token is valid, kMasked elsewhere.
std::vector<float> BiasRow(const std::vector<bool>& valid) {
  std::vector<float> row(valid.size());
  std::transform(valid.begin(), valid.end(), row.begin(),
                 [](bool is_valid) { return is_valid ? 0.0F : kMasked; });
  return row;
}

Status SizeError(const std::string& what, size_t found, int64_t expected) {
  return {StatusCode::kInvalidArgument, what + ": expected " + std::to_string(expected) +
                                            " values, found " + std::to_string(found)};
}

bool HasSize(size_t size, int64_t expected) { return static_cast<int64_t>(size) == expected; }

Status CheckInterrupt(const InterruptCheck& interrupt) {
  return interrupt ? interrupt() : Status::Ok();
}

}  // namespace

c10::IValue Pi0Model::Impl::Call(MethodTrace* trace, const std::string& method,
                                 std::vector<c10::IValue> arguments) {
  if (trace != nullptr) return trace->Run(method, std::move(arguments));
  return module.get_method(method)(std::move(arguments));
}

void Pi0Model::Impl::AnnounceStep(int64_t step) const {
  if (options.on_denoise_step) options.on_denoise_step(step);
}

Status Pi0Model::Impl::CheckInput(const ModelInput& input) const {
  const Geometry& g = geometry;
  const int64_t picture = 3 * g.image_size * g.image_size;
  for (size_t slot = 0; slot < input.cameras.size(); ++slot) {
    const std::vector<float>& pixels = input.cameras[slot].pixels;
    if (!pixels.empty() && !HasSize(pixels.size(), picture)) {
      return SizeError("picture of camera slot " + std::to_string(slot), pixels.size(), picture);
    }
  }
  if (input.tokens.size() != input.token_mask.size()) {
    return SizeError("token mask", input.token_mask.size(),
                     static_cast<int64_t>(input.tokens.size()));
  }
  for (const int64_t token : input.tokens) {
    if (token < 0 || token >= g.vocab_size) {
      return {StatusCode::kInvalidArgument, "token " + std::to_string(token) +
                                                " is outside the vocabulary of " +
                                                std::to_string(g.vocab_size)};
    }
  }
  if (is_pi0() && !HasSize(input.state.size(), g.action_dim)) {
    return SizeError("state", input.state.size(), g.action_dim);
  }
  if (!HasSize(input.noise.size(), g.horizon * g.action_dim)) {
    return SizeError("noise", input.noise.size(), g.horizon * g.action_dim);
  }
  if (input.num_steps < 1 || input.num_steps > kMaxDenoiseSteps) {
    return {StatusCode::kInvalidArgument, "num_steps: expected 1 to " +
                                              std::to_string(kMaxDenoiseSteps) + ", found " +
                                              std::to_string(input.num_steps)};
  }
  const bool any_camera = std::any_of(input.cameras.begin(), input.cameras.end(),
                                      [](const CameraInput& camera) { return camera.valid; });
  const bool any_token = std::any_of(input.token_mask.begin(), input.token_mask.end(),
                                     [](uint8_t valid) { return valid != 0; });
  if (!any_camera && !any_token) {
    return {StatusCode::kInvalidArgument, "the prefix has no valid camera and no valid token"};
  }
  return Status::Ok();
}

Result<Prefix> Pi0Model::Impl::EncodePrefix(const ModelInput& input, const ExactSavings& savings,
                                            int64_t suffix_slots, MethodTrace* trace,
                                            const InterruptCheck& interrupt) {
  AnnounceStep(0);
  Prefix prefix;
  std::vector<at::Tensor> parts;

  const int64_t side = geometry.image_size;
  std::vector<at::Tensor> pictures;
  for (const CameraInput& camera : input.cameras) {
    if (savings.drop_masked && !camera.valid) continue;
    pictures.push_back(camera.pixels.empty() ? at::full({3, side, side}, -1.0F, at::kFloat)
                                             : FromFloats(camera.pixels, {3, side, side}));
    prefix.valid.insert(prefix.valid.end(), static_cast<size_t>(geometry.tokens_per_camera()),
                        camera.valid);
  }
  if (!pictures.empty()) {
    const at::Tensor embeddings =
        Call(trace, "encode_images", {at::stack(pictures)}).toTensor();  // [N, T, W]
    parts.push_back(embeddings.reshape({1, -1, embeddings.size(2)}));
  }
  VLASERVE_RETURN_IF_ERROR(CheckInterrupt(interrupt));

  std::vector<int64_t> tokens;
  for (size_t i = 0; i < input.tokens.size(); ++i) {
    const bool valid = input.token_mask[i] != 0;
    if (savings.drop_masked && !valid) continue;
    tokens.push_back(input.tokens[i]);
    prefix.valid.push_back(valid);
  }
  if (!tokens.empty()) {
    parts.push_back(Call(trace, "embed_prompt", {FromInts(tokens)}).toTensor());
  }

  std::vector<int64_t> positions;
  for (const bool valid : prefix.valid) {
    if (valid) ++prefix.valid_count;
    positions.push_back(prefix.valid_count - 1);
  }
  prefix.has_masked = prefix.valid_count < prefix.length();
  c10::IValue bias;
  if (prefix.has_masked) {
    // allowed(query, key) = both valid; rows of padding are all masked, as in the reference.
    const at::Tensor row = FromFloats(BiasRow(prefix.valid), {prefix.length()});
    bias = at::minimum(row.unsqueeze(1), row.unsqueeze(0)).unsqueeze(0).unsqueeze(0);
  }
  const c10::IValue result = Call(
      trace, "encode_prefix",
      {at::cat(parts, 1), FromInts(positions), bias, suffix_slots, savings.last_layer_kv_only});
  const auto elements = result.toTupleRef().elements();
  prefix.keys = elements[0];
  prefix.values = elements[1];
  return prefix;
}

Result<std::vector<float>> Pi0Model::Impl::Denoise(const ModelInput& input,
                                                   const ExactSavings& savings,
                                                   const Prefix& prefix, int64_t steps,
                                                   MethodTrace* trace,
                                                   const InterruptCheck& interrupt) {
  const int64_t action_dim = geometry.action_dim;
  const int64_t horizon = geometry.horizon;
  // π0's suffix is its state token and the actions. The state token sees the prefix and itself, the
  // actions see everything (spec pi0.md §2.7), so its keys and values do not change with the steps.
  const bool state_once = is_pi0() && savings.state_token_once;
  const bool state_in_suffix = is_pi0() && !savings.state_token_once;
  const c10::IValue state =
      is_pi0() ? c10::IValue(FromFloats(input.state, {1, action_dim})) : c10::IValue();

  std::vector<bool> seen = prefix.valid;  // by the actions: rows of keys and values
  int64_t position = prefix.valid_count;
  if (state_once) {
    seen.push_back(true);
    c10::IValue bias;
    if (prefix.has_masked) {
      bias = FromFloats(BiasRow(seen), {1, 1, 1, static_cast<int64_t>(seen.size())});
    }
    Call(trace, "encode_state",
         {state, prefix.keys, prefix.values, prefix.length(), FromInts({position}), bias});
    ++position;
  }

  const int64_t first_row = static_cast<int64_t>(seen.size());
  const int64_t suffix = horizon + (state_in_suffix ? 1 : 0);
  seen.insert(seen.end(), static_cast<size_t>(suffix), true);
  std::vector<int64_t> positions;
  for (int64_t i = 0; i < suffix; ++i) positions.push_back(position + i);
  const at::Tensor position_ids = FromInts(positions);
  c10::IValue bias;
  if (prefix.has_masked || state_in_suffix) {
    at::Tensor rows =
        FromFloats(BiasRow(seen), {1, 1, 1, first_row + suffix}).repeat({1, 1, suffix, 1});
    if (state_in_suffix) rows.select(2, 0).slice(2, first_row + 1).fill_(kMasked);
    bias = rows;
  }

  const std::vector<float> times = DenoiseTimes(options.time_steps, input.num_steps);
  const at::Tensor table = savings.step_table ? StepTable(input.num_steps) : at::Tensor();
  const float width = DenoiseStepWidth(input.num_steps);
  at::Tensor x = FromFloats(input.noise, {1, horizon, action_dim});
  for (int64_t step = 0; step < steps; ++step) {
    VLASERVE_RETURN_IF_ERROR(CheckInterrupt(interrupt));
    AnnounceStep(step);
    const at::Tensor time = at::full({1}, times[static_cast<size_t>(step)], at::kFloat);
    const c10::IValue condition =
        table.defined() ? c10::IValue(table.narrow(0, step, 1)) : c10::IValue();
    const at::Tensor velocity = Call(trace, "denoise_step",
                                     {x, time, condition, state_in_suffix ? state : c10::IValue(),
                                      prefix.keys, prefix.values, first_row, position_ids, bias})
                                    .toTensor();
    // Two operations, each rounded, as the reference has them: no fused multiply-add.
    x = at::add(x, at::mul(velocity, width));
  }
  const at::Tensor result = x.contiguous();
  const float* data = result.const_data_ptr<float>();
  return std::vector<float>(data, data + result.numel());
}

Result<std::vector<float>> Pi0Model::Impl::Generate(const ModelInput& input,
                                                    const ExactSavings& savings, MethodTrace* trace,
                                                    const InterruptCheck& interrupt,
                                                    ModelTimings* timings) {
  VLASERVE_RETURN_IF_ERROR(CheckInput(input));
  VLASERVE_RETURN_IF_ERROR(CheckInterrupt(interrupt));
  return CatchTorchErrors("inference", [&]() -> Result<std::vector<float>> {
    RunGuard guard;
    const auto start = Clock::now();
    const int64_t suffix_slots = geometry.horizon + (is_pi0() ? 1 : 0);
    VLASERVE_ASSIGN_OR_RETURN(const Prefix prefix,
                              EncodePrefix(input, savings, suffix_slots, trace, interrupt));
    const auto denoise_start = Clock::now();
    Result<std::vector<float>> actions =
        Denoise(input, savings, prefix, input.num_steps, trace, interrupt);
    if (timings != nullptr) {
      timings->denoise_ms = MillisecondsSince(denoise_start);
      timings->prefix_ms = MillisecondsSince(start) - timings->denoise_ms;
    }
    return actions;
  });
}

at::Tensor Pi0Model::Impl::StepTable(int64_t num_steps) {
  // A table of 100 steps of full-size π0.5 takes 45 MB.
  constexpr size_t kOtherTables = 3;
  if (default_step_table.first == num_steps) return default_step_table.second;
  const auto known = std::find_if(other_step_tables.begin(), other_step_tables.end(),
                                  [&](const auto& entry) { return entry.first == num_steps; });
  if (known != other_step_tables.end()) {
    std::rotate(other_step_tables.begin(), known, known + 1);
    return other_step_tables.front().second;
  }
  const std::vector<float> times = DenoiseTimes(options.time_steps, num_steps);
  at::Tensor table =
      module.get_method("step_condition")({FromFloats(times, {num_steps})}).toTensor();
  other_step_tables.emplace_front(num_steps, table);
  if (other_step_tables.size() > kOtherTables) other_step_tables.pop_back();
  return table;
}

Pi0Model::Pi0Model(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Pi0Model::~Pi0Model() = default;

const Archive& Pi0Model::archive() const { return *impl_->archive; }
const RunOptions& Pi0Model::options() const { return impl_->options; }
const LoadSummary& Pi0Model::load_summary() const { return impl_->load_summary; }

Result<std::unique_ptr<Pi0Model>> Pi0Model::Create(std::unique_ptr<Archive> archive,
                                                   const RunOptions& options) {
  VLASERVE_ASSIGN_OR_RETURN(const LoadSummary summary, LoadWeights(*archive, options));
  auto impl = std::make_unique<Impl>(std::move(archive), options);
  impl->load_summary = summary;
  if (options.savings.step_table) {
    VLASERVE_RETURN_IF_ERROR(CatchTorchErrors("step table", [&]() -> Status {
      RunGuard guard;
      impl->default_step_table = {options.num_steps, impl->StepTable(options.num_steps)};
      impl->other_step_tables.clear();
      return Status::Ok();
    }));
  }
  return std::unique_ptr<Pi0Model>(new Pi0Model(std::move(impl)));
}

Result<std::vector<float>> Pi0Model::SampleActions(const ModelInput& input,
                                                   const InterruptCheck& interrupt,
                                                   ModelTimings* timings) {
  return impl_->Generate(input, impl_->options.savings, nullptr, interrupt, timings);
}

Status Pi0Model::WarmUp() {
  const Status touched = CatchTorchErrors("touching the weights", [&]() -> Status {
    // One byte a page brings mapped weights into memory before the first request needs them.
    constexpr size_t kPage = 4096;
    for (const at::Tensor& tensor : impl_->module.parameters()) {
      const auto* bytes = static_cast<const volatile char*>(tensor.const_data_ptr());
      // Expanded tensors hold less than their shape says.
      const size_t size = std::min(tensor.nbytes(), tensor.storage().nbytes());
      for (size_t offset = 0; offset < size; offset += kPage) {
        static_cast<void>(bytes[offset]);
      }
    }
    return Status::Ok();
  });
  VLASERVE_RETURN_IF_ERROR(touched);

  const Geometry& g = impl_->geometry;
  return CatchTorchErrors("warm-up", [&]() -> Status {
    RunGuard guard;
    // Vision on its own, so that the prefix stays at one token.
    const at::Tensor picture = at::full({1, 3, g.image_size, g.image_size}, -1.0F, at::kFloat);
    impl_->Call(nullptr, "encode_images", {picture});
    ModelInput input;
    input.tokens = {0};
    input.token_mask = {1};
    input.state.resize(static_cast<size_t>(g.action_dim));
    input.noise.resize(static_cast<size_t>(g.horizon * g.action_dim));
    input.num_steps = impl_->options.num_steps;
    const ExactSavings& savings = impl_->options.savings;
    VLASERVE_ASSIGN_OR_RETURN(
        const Prefix prefix,
        impl_->EncodePrefix(input, savings, g.horizon + (impl_->is_pi0() ? 1 : 0), nullptr, {}));
    return impl_->Denoise(input, savings, prefix, /*steps=*/1, nullptr, {}).status();
  });
}

}  // namespace vlaserve
