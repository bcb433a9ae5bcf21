#include "model/archive/foreign_file.h"

#include <algorithm>
#include <string_view>

namespace vlaserve {
namespace {

constexpr std::string_view kExport =
    "; make an archive from the checkpoint directory with: vlaserve export --checkpoint DIR --out "
    "policy.pt";

}  // namespace

std::optional<std::string> DescribeForeignFile(std::span<const std::byte> bytes) {
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()),
                              std::min<size_t>(bytes.size(), 64));
  if (head.empty()) return "the file is empty";
  if (head.starts_with("version https://git-lfs")) {
    return "this is a Git LFS pointer, not the file itself; fetch it with: git lfs pull";
  }
  if (head.size() > 9 && head[8] == '{' && head[7] == 0 && head[6] == 0 && head[5] == 0) {
    return "this is a safetensors file, not a TorchScript archive" + std::string(kExport);
  }
  if (head.starts_with("\x80\x02")) {
    return "this is a weights file of torch.save (a bare pickle), not a TorchScript archive" +
           std::string(kExport) + " (export reads safetensors)";
  }
  if (head.starts_with("\x1f\x8b")) return "this is a gzip file; unpack it first";
  if (head.starts_with("\x89HDF")) return "this is an HDF5 file, not a TorchScript archive";
  if (head.starts_with("GGUF")) return "this is a GGUF file, not a TorchScript archive";
  if (head.starts_with("<!DOCTYPE") || head.starts_with("<html")) {
    return "this is a web page, not an archive; the download went wrong";
  }
  return std::nullopt;
}

std::string DescribeForeignZip(const ZipReader& zip) {
  bool weights = false;
  for (const ZipRecord& record : zip.records()) {
    const std::string_view name = record.name;
    if (name.ends_with(".npy")) return "this is a NumPy .npz file, not a TorchScript archive";
    if (name.ends_with("/model.json") || name.ends_with("/archive_format")) {
      return "this is an archive of torch.export or of TorchScript before 1.4, which vlaserve does "
             "not read" +
             std::string(kExport);
    }
    weights = weights || name.ends_with("/data.pkl") || name == "data.pkl";
  }
  if (weights) {
    return "this is a weights file of torch.save, not a TorchScript archive" +
           std::string(kExport) + " (export reads safetensors)";
  }
  return "this is a zip file, but not a TorchScript archive: it has no data.pkl, constants.pkl and "
         "code";
}

}  // namespace vlaserve
