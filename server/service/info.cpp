#include "server/service/info.h"

#include <algorithm>
#include <string>

#include "server/service/picture.h"

namespace vlaserve {
namespace {

constexpr int64_t kFullHdBytes = 1920 * 1080 * 3;
constexpr int64_t kMiB = 1 << 20;

v1::GetServerInfoResponse::State StateOf(ServerState state) {
  switch (state) {
    case ServerState::kLoading:
      return v1::GetServerInfoResponse::STATE_LOADING;
    case ServerState::kServing:
      return v1::GetServerInfoResponse::STATE_SERVING;
    case ServerState::kDraining:
    case ServerState::kStopped:
      return v1::GetServerInfoResponse::STATE_DRAINING;
  }
  return v1::GetServerInfoResponse::STATE_UNSPECIFIED;
}

void FillPolicy(const ServerInfo& info, v1::PolicyInfo& policy) {
  const PolicySettings& settings = info.settings;
  policy.set_name(settings.name);
  policy.set_type(std::string(PolicyTypeName(settings.type)));
  policy.set_archive_sha256(info.archive_sha256);
  for (const Camera& camera : settings.cameras) {
    if (!camera.name) continue;
    v1::CameraInfo& out = *policy.add_cameras();
    out.set_name(*camera.name);
    out.set_slot(camera.slot);
    out.set_observation_key(camera.observation_key.value_or(""));
    out.set_optional(camera.optional);
  }
  policy.set_state_dim(static_cast<uint32_t>(settings.state_dim));
  policy.set_horizon(static_cast<uint32_t>(info.geometry.horizon));
  policy.set_action_dim(static_cast<uint32_t>(settings.output_action_dim));
  policy.set_model_action_dim(static_cast<uint32_t>(info.geometry.action_dim));
  policy.set_num_steps(static_cast<uint32_t>(settings.num_steps));
  policy.set_image_size(static_cast<uint32_t>(info.geometry.image_size));
  policy.set_prompt_slots(static_cast<uint32_t>(info.geometry.prompt_slots));
  if (settings.default_prompt) policy.set_default_prompt(*settings.default_prompt);
  for (const bool delta : settings.delta_action_mask) policy.add_delta_action_mask(delta);
  policy.set_state_in_prompt(settings.state_in_prompt());
  policy.set_client_json(settings.client_json);
}

void FillQuantization(const QuantizationInfo& info, v1::Quantization& quantization) {
  quantization.set_engine(info.engine);
  quantization.set_preset(info.preset);
  quantization.set_kernel(info.kernel);
  quantization.set_quantized_linears(static_cast<uint32_t>(info.quantized_linears));
  quantization.set_linears(static_cast<uint32_t>(info.linears));
  for (const QuantizationInfo::Group& group : info.groups) {
    v1::Quantization::Group& out = *quantization.add_groups();
    out.set_name(group.name);
    out.set_linears(static_cast<uint32_t>(group.linears));
    out.set_weight_bits(static_cast<uint32_t>(group.weight_bits));
    out.set_activation_bits(static_cast<uint32_t>(group.activation_bits));
  }
  quantization.set_weight_bytes_before(static_cast<uint64_t>(info.weight_bytes_before));
  quantization.set_weight_bytes_after(static_cast<uint64_t>(info.weight_bytes_after));
  quantization.set_resident_anonymous_bytes(static_cast<uint64_t>(info.resident_anonymous_bytes));
  quantization.set_resident_file_bytes(static_cast<uint64_t>(info.resident_file_bytes));
}

}  // namespace

int64_t MaxMessageBytes(const PolicySettings& settings) {
  const auto cameras = std::count_if(settings.cameras.begin(), settings.cameras.end(),
                                     [](const Camera& camera) { return camera.name.has_value(); });
  return std::max(8 * kMiB, cameras * kFullHdBytes + kMiB);
}

v1::GetServerInfoResponse MakeServerInfo(const ServerInfo& info, const ServerOptions& options,
                                         ServerState state) {
  v1::GetServerInfoResponse response;
  response.set_state(StateOf(state));
  response.set_version(info.version);
  FillPolicy(info, *response.mutable_policy());
  v1::RuntimeInfo& runtime = *response.mutable_runtime();
  runtime.set_device(info.device);
  runtime.set_compute_dtype(info.compute_dtype);
  runtime.set_threads(static_cast<uint32_t>(info.threads));
  v1::Limits& limits = *response.mutable_limits();
  limits.set_max_message_bytes(static_cast<uint64_t>(MaxMessageBytes(info.settings)));
  limits.set_max_image_side(kMaxImageSide);
  limits.set_queue_capacity(static_cast<uint32_t>(options.queue_capacity));
  if (info.quantization) {
    const std::optional<QuantizationInfo> quantization = info.quantization();
    if (quantization) FillQuantization(*quantization, *response.mutable_quantization());
  }
  return response;
}

}  // namespace vlaserve
