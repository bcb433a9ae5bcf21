#include "model/archive/archive_tables.h"

#include <limits>
#include <optional>
#include <utility>

#include "model/io/hash.h"
#include "model/io/json.h"
#include "model/settings/json_object.h"

namespace vlaserve {
namespace {

constexpr int64_t kFormat = 1;
constexpr IntRange kSize = {0, std::numeric_limits<int64_t>::max()};

bool IsSha256(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Result<std::vector<int64_t>> ReadShape(JsonObject& object) {
  VLASERVE_ASSIGN_OR_RETURN(const nlohmann::json* sizes, object.OptionalArray("shape"));
  if (sizes == nullptr) return object.Error("shape", "missing; expected an array of sizes");
  std::vector<int64_t> shape;
  for (const nlohmann::json& size : *sizes) {
    if (!size.is_number_unsigned() ||
        size.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return object.Error("shape", "expected non-negative integers, found " + JsonExcerpt(size));
    }
    shape.push_back(size.get<int64_t>());
  }
  return shape;
}

Result<TensorDigest> ReadDigest(JsonObject& object) {
  TensorDigest digest;
  VLASERVE_ASSIGN_OR_RETURN(const std::string dtype, object.String("dtype"));
  const std::optional<DType> known = DTypeFromName(dtype);
  if (!known.has_value()) return object.Error("dtype", "unknown dtype " + dtype);
  digest.dtype = *known;
  VLASERVE_ASSIGN_OR_RETURN(digest.shape, ReadShape(object));
  VLASERVE_ASSIGN_OR_RETURN(const int64_t bytes, object.Int("bytes", kSize));
  uint64_t expected = DTypeSize(digest.dtype);
  bool fits = true;
  for (const int64_t size : digest.shape) {
    fits = !__builtin_mul_overflow(expected, static_cast<uint64_t>(size), &expected) && fits;
  }
  digest.bytes = static_cast<uint64_t>(bytes);
  if (!fits || digest.bytes != expected) {
    return object.Error("bytes", std::to_string(bytes) + " does not follow from dtype and shape");
  }
  VLASERVE_ASSIGN_OR_RETURN(digest.sha256, object.String("sha256"));
  if (!IsSha256(digest.sha256)) {
    return object.Error("sha256", "expected 64 lower-case hexadecimal digits");
  }
  VLASERVE_ASSIGN_OR_RETURN(const int64_t crc32c, object.Int("crc32c", {0, 0xffffffff}));
  digest.crc32c = static_cast<uint32_t>(crc32c);
  VLASERVE_RETURN_IF_ERROR(object.RejectUnknownKeys());
  return digest;
}

}  // namespace

TensorDigest DigestTensor(const TensorView& tensor) {
  return {tensor.dtype, tensor.shape, tensor.bytes.size(), Sha256Hex(tensor.bytes),
          Crc32c(tensor.bytes)};
}

std::string WeightsSha256(const std::map<std::string, TensorDigest>& digests) {
  std::string lines;
  for (const auto& [name, digest] : digests) {
    std::string shape;
    for (const int64_t size : digest.shape) {
      if (!shape.empty()) shape += ",";
      shape += std::to_string(size);
    }
    lines += name + " " + std::string(DTypeName(digest.dtype)) + " " + shape + " " + digest.sha256 +
             "\n";
  }
  return Sha256Hex(lines);
}

std::string DigestsToJson(const std::map<std::string, TensorDigest>& digests) {
  nlohmann::ordered_json tensors = nlohmann::ordered_json::object();
  for (const auto& [name, digest] : digests) {
    tensors[name] = {{"dtype", DTypeName(digest.dtype)},
                     {"shape", digest.shape},
                     {"bytes", digest.bytes},
                     {"sha256", digest.sha256},
                     {"crc32c", digest.crc32c}};
  }
  const nlohmann::ordered_json root = {{"format", kFormat},
                                       {"tensors", std::move(tensors)},
                                       {"archive_sha256", WeightsSha256(digests)}};
  return root.dump(1) + "\n";
}

std::string LinearsToJson(const std::vector<LinearInfo>& linears) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const LinearInfo& linear : linears) {
    list.push_back({{"name", linear.name},
                    {"in", linear.in_features},
                    {"out", linear.out_features},
                    {"bias", linear.bias},
                    {"live", linear.live}});
  }
  return nlohmann::ordered_json{{"format", kFormat}, {"linears", std::move(list)}}.dump(1) + "\n";
}

Result<Digests> ParseDigests(std::string_view json_text, std::string_view origin) {
  VLASERVE_ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(json_text, origin));
  VLASERVE_ASSIGN_OR_RETURN(JsonObject root,
                            JsonObject::Root(json, origin, StatusCode::kUnreadable));
  VLASERVE_ASSIGN_OR_RETURN([[maybe_unused]] const int64_t format,
                            root.Int("format", {kFormat, kFormat}));
  VLASERVE_ASSIGN_OR_RETURN(JsonObject tensors, root.Object("tensors"));
  VLASERVE_ASSIGN_OR_RETURN(auto members, tensors.ObjectMembers());
  Digests digests;
  for (auto& [name, object] : members) {
    VLASERVE_ASSIGN_OR_RETURN(TensorDigest digest, ReadDigest(object));
    digests.tensors.emplace(name, std::move(digest));
  }
  VLASERVE_ASSIGN_OR_RETURN(digests.archive_sha256, root.String("archive_sha256"));
  VLASERVE_RETURN_IF_ERROR(root.RejectUnknownKeys());
  const std::string expected = WeightsSha256(digests.tensors);
  if (digests.archive_sha256 != expected) {
    return root.Error("archive_sha256", "does not belong to the tensors listed; expected " +
                                            expected + ", found " + digests.archive_sha256);
  }
  return digests;
}

Result<std::vector<LinearInfo>> ParseLinears(std::string_view json_text, std::string_view origin) {
  VLASERVE_ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(json_text, origin));
  VLASERVE_ASSIGN_OR_RETURN(JsonObject root,
                            JsonObject::Root(json, origin, StatusCode::kUnreadable));
  VLASERVE_ASSIGN_OR_RETURN([[maybe_unused]] const int64_t format,
                            root.Int("format", {kFormat, kFormat}));
  VLASERVE_ASSIGN_OR_RETURN(auto entries, root.ObjectArray("linears"));
  std::vector<LinearInfo> linears;
  for (JsonObject& entry : entries) {
    LinearInfo linear;
    VLASERVE_ASSIGN_OR_RETURN(linear.name, entry.String("name"));
    VLASERVE_ASSIGN_OR_RETURN(linear.in_features, entry.Int("in", kSize));
    VLASERVE_ASSIGN_OR_RETURN(linear.out_features, entry.Int("out", kSize));
    VLASERVE_ASSIGN_OR_RETURN(const std::optional<bool> bias, entry.OptionalBool("bias"));
    VLASERVE_ASSIGN_OR_RETURN(const std::optional<bool> live, entry.OptionalBool("live"));
    if (!bias.has_value()) return entry.Error("bias", "missing; expected true or false");
    if (!live.has_value()) return entry.Error("live", "missing; expected true or false");
    linear.bias = *bias;
    linear.live = *live;
    VLASERVE_RETURN_IF_ERROR(entry.RejectUnknownKeys());
    linears.push_back(std::move(linear));
  }
  VLASERVE_RETURN_IF_ERROR(root.RejectUnknownKeys());
  return linears;
}

}  // namespace vlaserve
