#include "server/config/option.h"
#include "server/config/quant_options.h"

namespace vlaserve {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kAddressPattern =
    R"(^(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/]+):)"
    R"((\d{1,4}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])$)";

std::vector<Option> MakeOptions() {
  std::vector<Option> options = {
      {.key = "policy.archive",
       .when_unset = "`serve` asks for it",
       .form = "a path",
       .is_path = true,
       .help = "The policy archive (policy.pt) to serve. In a config file: relative to its folder.",
       .apply = [](const Json& value, ServerConfig& config) { value.get_to(config.archive); }},

      {.key = "server.address",
       .default_value = "127.0.0.1:50051",
       .pattern = kAddressPattern,
       .form = "HOST:PORT or [IPv6]:PORT",
       .help = "Where to listen. Port 0 lets the system choose; the log names the port.",
       .apply = [](const Json& value, ServerConfig& config) { value.get_to(config.address); }},
      {.key = "server.queue_capacity",
       .type = OptionType::kInteger,
       .default_value = 64,
       .minimum = 1,
       .maximum = 4096,
       .help = "Requests that may wait; one more is refused with RESOURCE_EXHAUSTED.",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.queue_capacity); }},
      {.key = "server.drain_seconds",
       .type = OptionType::kNumber,
       .default_value = 10,
       .minimum = 0,
       .maximum = 600,
       .help = "Time that accepted requests get to finish after SIGTERM.",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.drain_seconds); }},
      {.key = "server.insecure",
       .type = OptionType::kBoolean,
       .default_value = false,
       .help = "Allow an address that other machines can reach, in clear text.",
       .apply = [](const Json& value, ServerConfig& config) { value.get_to(config.insecure); }},
      {.key = "server.reflection",
       .type = OptionType::kBoolean,
       .default_value = true,
       .help = "Answer gRPC server reflection, so that grpcurl works without the .proto file.",
       .apply = [](const Json& value, ServerConfig& config) { value.get_to(config.reflection); }},

      {.key = "runtime.device",
       .default_value = "cpu",
       .pattern = "^(cpu|cuda|cuda:\\d{1,3})$",
       .form = "cpu, cuda or cuda:N",
       .help = "Where the policy runs.",
       .apply = [](const Json& value, ServerConfig& config) { value.get_to(config.device); }},
      {.key = "runtime.compute_dtype",
       .default_value = "float32",
       .values = {"float32", "bfloat16"},
       .help = "Type of weights and activations; with bfloat16 the reference's float32 islands "
               "(norms, RoPE, softmax, projections of states and actions) stay float32.",
       .apply =
           [](const Json& value, ServerConfig& config) {
             config.policy.compute_dtype =
                 value == "bfloat16" ? ComputeDtype::kBfloat16 : ComputeDtype::kFloat32;
           }},
      {.key = "runtime.threads",
       .type = OptionType::kInteger,
       .default_value = 0,
       .minimum = 0,
       .maximum = 1024,
       .help = "Threads of one operator; 0: all cores.",
       .apply = [](const Json& value, ServerConfig& config) { value.get_to(config.threads); }},
      {.key = "runtime.attention",
       .default_value = "kernel",
       .values = {"kernel", "libtorch"},
       .help = "Attention on the CPU: vlaserve's kernel, which computes the softmax and both "
               "products in float32, or LibTorch's operator.",
       .apply = [](const Json& value,
                   ServerConfig& config) { config.attention_kernel = value == "kernel"; }},
      {.key = "runtime.rope_inv_freq",
       .when_unset = "as the policy says",
       .values = {"exact", "bf16_rounded"},
       .help = "RoPE frequencies: exact as in openpi's JAX models, or rounded to bfloat16 as in "
               "openpi's PyTorch policy.",
       .apply =
           [](const Json& value, ServerConfig& config) {
             config.policy.rope_inv_freq =
                 value == "bf16_rounded" ? RopeInvFreq::kBf16Rounded : RopeInvFreq::kExact;
           }},
      {.key = "runtime.time_steps",
       .when_unset = "as the policy says",
       .values = {"openpi", "lerobot"},
       .help = "Flow times of the denoise steps: accumulated (openpi) or 1 + step * dt (lerobot).",
       .apply =
           [](const Json& value, ServerConfig& config) {
             config.policy.time_steps =
                 value == "lerobot" ? TimeSteps::kLerobot : TimeSteps::kOpenpi;
           }},
      {.key = "runtime.num_steps",
       .type = OptionType::kInteger,
       .when_unset = "as the policy says",
       .minimum = 1,
       .maximum = 100,
       .help = "Denoise steps of a request that does not say how many.",
       .apply = [](const Json& value,
                   ServerConfig& config) { config.policy.num_steps = value.get<int64_t>(); }},
      {.key = "runtime.savings.drop_masked",
       .type = OptionType::kBoolean,
       .default_value = true,
       .help = "Exact saving: masked cameras and padded prompt slots never enter the model.",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.policy.savings.drop_masked); }},
      {.key = "runtime.savings.last_layer_kv_only",
       .type = OptionType::kBoolean,
       .default_value = true,
       .help = "Exact saving: the last prefix layer computes only its keys and values.",
       .apply =
           [](const Json& value, ServerConfig& config) {
             value.get_to(config.policy.savings.last_layer_kv_only);
           }},
      {.key = "runtime.savings.state_token_once",
       .type = OptionType::kBoolean,
       .default_value = true,
       .help = "Exact saving: pi0's state token is computed once per chunk, not per step.",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.policy.savings.state_token_once); }},
      {.key = "runtime.savings.step_table",
       .type = OptionType::kBoolean,
       .default_value = true,
       .help = "Exact saving: what depends only on the denoise step is computed at load.",
       .apply = [](const Json& value,
                   ServerConfig& config) { value.get_to(config.policy.savings.step_table); }},

      {.key = "log.level",
       .default_value = "info",
       .values = {"debug", "info", "warning", "error"},
       .help = "Least severe messages that are logged (to standard error).",
       .apply = [](const Json& value, ServerConfig& config) { value.get_to(config.log_level); }},
  };
  // Behind "runtime", which they are about, and before "log".
  std::vector<Option> quant = QuantOptions();
  options.insert(options.end() - 1, std::make_move_iterator(quant.begin()),
                 std::make_move_iterator(quant.end()));
  return options;
}

}  // namespace

const std::vector<Option>& Options() {
  static const std::vector<Option> options = MakeOptions();
  return options;
}

const std::vector<OptionGroup>& OptionGroups() {
  static const std::vector<OptionGroup> groups = {
      {"policy", "What is served."},
      {"server", "The gRPC server."},
      {"runtime", "How the policy is computed."},
      {"quant", "Which linears are quantized, and how (configs/README.md)."},
      {"pack_cache", "Quantized weights on disk."},
      {"log", "The log on standard error."},
  };
  return groups;
}

}  // namespace vlaserve
