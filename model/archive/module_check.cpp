#include "model/archive/module_check.h"

#include <optional>
#include <utility>

#include "model/archive/torch_errors.h"
#include "model/io/safetensors.h"

namespace vlaserve {
namespace {

using TensorBytes = std::map<std::string, std::span<const std::byte>>;

constexpr std::string_view kEncodeState = "encode_state(";

// FORMAT.md, "Methods of the root module".
constexpr std::string_view kMethods[] = {
    "sample_actions(images: List[Tensor], image_mask: Tensor, tokens: Tensor, token_mask: Tensor, "
    "state: Tensor, noise: Tensor, num_steps: int) -> Tensor",
    "encode_images(pixels: Tensor) -> Tensor",
    "embed_prompt(tokens: Tensor) -> Tensor",
    "encode_prefix(embeddings: Tensor, position_ids: Tensor, attention_bias: Optional[Tensor], "
    "suffix_slots: int, kv_only_last: bool) -> Tuple[List[Tensor], List[Tensor]]",
    "step_condition(times: Tensor) -> Tensor",
    "encode_state(state: Tensor, keys: List[Tensor], values: List[Tensor], first_row: int, "
    "position_ids: Tensor, attention_bias: Optional[Tensor]) -> None",
    "denoise_step(x: Tensor, time: Tensor, condition: Optional[Tensor], state: Optional[Tensor], "
    "keys: List[Tensor], values: List[Tensor], first_row: int, position_ids: Tensor, "
    "attention_bias: Optional[Tensor]) -> Tensor",
    "time_embedding(time: Tensor) -> Tensor",
    "embed_suffix(x: Tensor, time: Tensor, condition: Optional[Tensor], state: Optional[Tensor]) "
    "-> Tensor",
};

std::string TypeName(const c10::TypePtr& type) {
  return type->kind() == c10::TypeKind::NoneType ? "None" : type->annotation_str();
}

std::string Signature(const c10::FunctionSchema& schema) {
  std::string text = schema.name() + "(";
  const auto& arguments = schema.arguments();
  for (size_t i = 1; i < arguments.size(); ++i) {  // the first one is self
    text += (i > 1 ? ", " : "") + arguments[i].name() + ": " + TypeName(arguments[i].type());
  }
  text += ") -> ";
  return text + (schema.returns().size() == 1 ? TypeName(schema.returns()[0].type()) : "?");
}

std::optional<DType> StoredDType(at::ScalarType type) {
  switch (type) {
    case at::kBool:
      return DType::kBool;
    case at::kByte:
      return DType::kU8;
    case at::kChar:
      return DType::kI8;
    case at::kShort:
      return DType::kI16;
    case at::kInt:
      return DType::kI32;
    case at::kLong:
      return DType::kI64;
    case at::kHalf:
      return DType::kF16;
    case at::kBFloat16:
      return DType::kBF16;
    case at::kFloat:
      return DType::kF32;
    case at::kDouble:
      return DType::kF64;
    default:
      return std::nullopt;
  }
}

std::string DescribeDigest(const TensorDigest& digest) {
  return std::string(DTypeName(digest.dtype)) + " " + ShapeToString(digest.shape);
}

Status CheckTensor(const std::string& name, const at::Tensor& tensor, const Digests& digests) {
  const auto listed = digests.tensors.find(name);
  if (listed == digests.tensors.end()) {
    return {StatusCode::kUnreadable, "tensor " + name + " is not listed in extra/digests.json"};
  }
  const TensorDigest& digest = listed->second;
  const std::optional<DType> dtype = StoredDType(tensor.scalar_type());
  const bool equal = dtype == digest.dtype && tensor.sizes().vec() == digest.shape;
  if (!equal) {
    return {StatusCode::kUnreadable,
            "tensor " + name + " is " +
                (dtype.has_value() ? std::string(DTypeName(*dtype)) : "of unknown dtype") + " " +
                ShapeToString(tensor.sizes().vec()) + "; extra/digests.json says " +
                DescribeDigest(digest)};
  }
  if (!tensor.is_contiguous() || tensor.is_conj() || tensor.is_neg()) {
    return {StatusCode::kUnreadable,
            "tensor " + name + " is not stored in C order, which its digest is over"};
  }
  return Status::Ok();
}

// Modules may be shared; each path to a tensor counts.
Status Collect(const torch::jit::Module& module, const std::string& prefix, const Digests& digests,
               TensorBytes& out) {
  const c10::ClassTypePtr type = module.type();
  for (size_t i = 0; i < type->numAttributes(); ++i) {
    const c10::IValue& value = module._ivalue()->getSlot(i);
    const std::string name = prefix + type->getAttributeName(i);
    if (value.isTensor()) {
      const at::Tensor& tensor = value.toTensor();
      VLASERVE_RETURN_IF_ERROR(CheckTensor(name, tensor, digests));
      out[name] = {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
    } else if (type->getAttribute(i)->is_module()) {
      VLASERVE_RETURN_IF_ERROR(
          Collect(torch::jit::Module(value.toObject()), name + ".", digests, out));
    }
  }
  return Status::Ok();
}

}  // namespace

std::vector<std::string> PolicyMethods(PolicyType type) {
  std::vector<std::string> methods;
  for (const std::string_view method : kMethods) {
    if (type == PolicyType::kPi05 && method.starts_with(kEncodeState)) continue;
    methods.emplace_back(method);
  }
  return methods;
}

Status CheckMethods(const torch::jit::Module& module, PolicyType type, const std::string& path) {
  for (const std::string& expected : PolicyMethods(type)) {
    const auto method = module.find_method(expected.substr(0, expected.find('(')));
    if (!method.has_value()) {
      return {StatusCode::kUnreadable,
              path + ": the module has no method " + expected + "; export the policy again"};
    }
    const std::string found = Signature(method->function().getSchema());
    if (found != expected) {
      return {StatusCode::kUnreadable, path + ": the module's method is " + found + "; expected " +
                                           expected + "; export the policy again"};
    }
  }
  return Status::Ok();
}

Result<TensorBytes> CheckStoredTensors(const torch::jit::Module& module, const Digests& digests,
                                       const std::string& path) {
  TensorBytes tensors;
  const Status collected = CatchTorchErrors(
      path,
      [&] {
        const Status status = Collect(module, "", digests, tensors);
        return status.ok() ? status : status.WithContext(path);
      },
      StatusCode::kUnreadable);
  VLASERVE_RETURN_IF_ERROR(collected);
  for (const auto& [name, digest] : digests.tensors) {
    if (!tensors.contains(name)) {
      return Status(StatusCode::kUnreadable, path + ": tensor " + name + " (" +
                                                 DescribeDigest(digest) +
                                                 ") is listed in extra/digests.json but is not in "
                                                 "the module");
    }
  }
  return tensors;
}

}  // namespace vlaserve
