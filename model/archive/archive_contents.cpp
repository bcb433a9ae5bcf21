#include "model/archive/archive_contents.h"

#include <map>
#include <span>
#include <utility>

#include "model/checkpoint/geometry_json.h"
#include "model/io/json.h"
#include "model/io/safetensors.h"

namespace vlaserve {
namespace {

constexpr uint64_t kMaxJsonBytes = uint64_t{64} << 20;
constexpr std::string_view kRopeInvFreq = "rope_inv_freq";

std::string Origin(const ArchiveRecords& records, std::string_view name) {
  return records.path() + ": extra/" + std::string(name);
}

Result<std::string> ReadExtra(const ArchiveRecords& records, std::string_view name) {
  return records.Read("extra/" + std::string(name), kMaxJsonBytes);
}

// Whatever a part complains of: here it is the archive that cannot be used.
Status Unreadable(const Status& status) {
  if (status.ok()) return status;
  return {StatusCode::kUnreadable, status.message()};
}

Status CheckTensors(const Digests& digests, const Geometry& geometry, const std::string& origin) {
  std::map<std::string, std::vector<int64_t>> expected;
  for (ExpectedTensor& tensor : ExpectedTensors(geometry)) {
    expected.emplace(std::move(tensor.name), std::move(tensor.shape));
  }
  expected.emplace(kRopeInvFreq, std::vector<int64_t>{geometry.head_dim / 2});
  for (const auto& [name, shape] : expected) {
    const auto found = digests.tensors.find(name);
    if (found == digests.tensors.end()) {
      return {StatusCode::kUnreadable, origin + ": tensor " + name + " is missing"};
    }
    if (found->second.shape != shape) {
      return {StatusCode::kUnreadable, origin + ": tensor " + name + " has shape " +
                                           ShapeToString(found->second.shape) + "; expected " +
                                           ShapeToString(shape) + " from extra/geometry.json"};
    }
    const DType dtype = found->second.dtype;
    if (dtype != DType::kF32 && dtype != DType::kBF16) {
      return {StatusCode::kUnreadable, origin + ": tensor " + name + " has dtype " +
                                           std::string(DTypeName(dtype)) +
                                           "; expected F32 or BF16"};
    }
  }
  for (const auto& [name, digest] : digests.tensors) {
    if (!expected.contains(name)) {
      return {StatusCode::kUnreadable, origin + ": tensor " + name + " is not one of a " +
                                           std::string(PolicyTypeName(geometry.type)) + " model"};
    }
  }
  return Status::Ok();
}

std::string Describe(const LinearInfo& linear) {
  return linear.name + " " + std::to_string(linear.in_features) + "×" +
         std::to_string(linear.out_features) + (linear.bias ? " with bias" : " without bias") +
         (linear.live ? "" : ", never run");
}

Status CheckLinears(const std::vector<LinearInfo>& linears, const Geometry& geometry,
                    const std::string& origin) {
  const std::vector<LinearInfo> expected = ReferenceLinears(geometry);
  if (linears.size() != expected.size()) {
    return {StatusCode::kUnreadable, origin + ": lists " + std::to_string(linears.size()) +
                                         " linears; a model of extra/geometry.json has " +
                                         std::to_string(expected.size())};
  }
  for (size_t i = 0; i < linears.size(); ++i) {
    if (Describe(linears[i]) != Describe(expected[i])) {
      return {StatusCode::kUnreadable, origin + ": entry " + std::to_string(i) + " is " +
                                           Describe(linears[i]) + "; expected " +
                                           Describe(expected[i])};
    }
  }
  return Status::Ok();
}

Status ReadTokenizer(const ArchiveRecords& records, ArchiveContents& contents) {
  const ZipRecord* record = records.Find("extra/tokenizer.model");
  if (record == nullptr) {
    return {StatusCode::kUnreadable,
            records.path() + ": the archive has no record extra/tokenizer.model"};
  }
  VLASERVE_RETURN_IF_ERROR(records.zip().CheckCrc(*record));
  const std::span<const std::byte> bytes = records.zip().StoredBytes(*record);
  contents.tokenizer_model = {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  return Status::Ok();
}

Result<ArchiveContents> Read(const ArchiveRecords& records) {
  ArchiveContents contents;
  VLASERVE_ASSIGN_OR_RETURN(const std::string geometry, ReadExtra(records, "geometry.json"));
  VLASERVE_ASSIGN_OR_RETURN(contents.geometry,
                            ParseGeometry(geometry, Origin(records, "geometry.json")));

  const std::string settings_origin = Origin(records, "policy.json");
  VLASERVE_ASSIGN_OR_RETURN(const std::string settings, ReadExtra(records, "policy.json"));
  VLASERVE_ASSIGN_OR_RETURN(contents.settings, ParsePolicySettings(settings, settings_origin));
  VLASERVE_ASSIGN_OR_RETURN(
      contents.settings, FitSettingsToModel(contents.settings, contents.geometry, settings_origin));

  const std::string stats_origin = Origin(records, "norm_stats.json");
  VLASERVE_ASSIGN_OR_RETURN(const std::string stats, ReadExtra(records, "norm_stats.json"));
  VLASERVE_ASSIGN_OR_RETURN(contents.norm_stats, ParseNormStats(stats, stats_origin));
  VLASERVE_RETURN_IF_ERROR(CheckNormStats(contents.norm_stats, contents.settings,
                                          contents.geometry.action_dim, stats_origin));

  VLASERVE_RETURN_IF_ERROR(ReadTokenizer(records, contents));

  const std::string digests_origin = Origin(records, "digests.json");
  VLASERVE_ASSIGN_OR_RETURN(const std::string digests, ReadExtra(records, "digests.json"));
  VLASERVE_ASSIGN_OR_RETURN(contents.digests, ParseDigests(digests, digests_origin));
  VLASERVE_RETURN_IF_ERROR(CheckTensors(contents.digests, contents.geometry, digests_origin));

  const std::string linears_origin = Origin(records, "linears.json");
  VLASERVE_ASSIGN_OR_RETURN(const std::string linears, ReadExtra(records, "linears.json"));
  VLASERVE_ASSIGN_OR_RETURN(contents.linears, ParseLinears(linears, linears_origin));
  VLASERVE_RETURN_IF_ERROR(CheckLinears(contents.linears, contents.geometry, linears_origin));

  if (records.Find("extra/export.json") != nullptr) {
    VLASERVE_ASSIGN_OR_RETURN(contents.export_json, ReadExtra(records, "export.json"));
    VLASERVE_RETURN_IF_ERROR(
        ParseJson(contents.export_json, Origin(records, "export.json")).status());
  }
  return contents;
}

}  // namespace

Result<ArchiveContents> ReadArchiveContents(const ArchiveRecords& records) {
  if (records.Find("extra/policy.json") == nullptr) {
    return Status(StatusCode::kUnreadable,
                  records.path() +
                      ": this is a TorchScript archive, but not a policy archive of vlaserve (it "
                      "has no extra/policy.json); make one from the checkpoint directory with: "
                      "vlaserve export --checkpoint DIR --out policy.pt");
  }
  Result<ArchiveContents> contents = Read(records);
  if (!contents.ok()) return Unreadable(contents.status());
  return contents;
}

}  // namespace vlaserve
