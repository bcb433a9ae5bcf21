#include "model/export/archive_writer.h"

#include <cstddef>
#include <span>
#include <utility>

#include <ATen/ops/arange.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/pow.h>
#include <torch/csrc/jit/serialization/export.h>

#include "model/archive/torch_errors.h"
#include "model/export/module_builder.h"

namespace vlaserve {
namespace {

// A tensor over the bytes; they may be unaligned, since they are only ever written out.
at::Tensor Alias(const TensorView& view) {
  const at::ScalarType type = view.dtype == DType::kBF16 ? at::kBFloat16 : at::kFloat;
  return at::from_blob(const_cast<std::byte*>(view.bytes.data()), view.shape, type);
}

}  // namespace

std::vector<float> RopeInvFreq(const Geometry& geometry) {
  const at::Tensor exponents = at::arange(0, geometry.head_dim, 2, at::kLong)
                                   .to(at::kFloat)
                                   .div(static_cast<double>(geometry.head_dim));
  const at::Tensor frequencies = at::pow(geometry.rope_theta, exponents).reciprocal();
  const float* data = frequencies.const_data_ptr<float>();
  return {data, data + frequencies.numel()};
}

Result<int64_t> WritePolicyArchive(FileSystem& files, const Geometry& geometry,
                                   const std::map<std::string, TensorView>& tensors,
                                   const std::map<std::string, std::string>& extra_files,
                                   const std::string& out) {
  std::map<std::string, at::Tensor> aliases;
  for (const auto& [name, view] : tensors) aliases[name] = Alias(view);
  VLASERVE_ASSIGN_OR_RETURN(const torch::jit::Module module, BuildPolicyModule(geometry, aliases));

  VLASERVE_ASSIGN_OR_RETURN(const std::unique_ptr<WritableFile> file, files.CreateAtomically(out));
  int64_t size = 0;
  Status status;
  // Always claims success: LibTorch's writer finishes the archive in its destructor and ends the
  // process if that fails. After an error the rest is dropped.
  const auto write = [&](const void* data, size_t bytes) {
    if (status.ok()) status = file->Append({static_cast<const std::byte*>(data), bytes});
    size += static_cast<int64_t>(bytes);
    return bytes;
  };
  try {
    const torch::jit::ExtraFilesMap extra(extra_files.begin(), extra_files.end());
    torch::jit::ExportModule(module, write, extra);
  } catch (const std::exception& error) {
    return TorchFailure(StatusCode::kInternal, out + ": LibTorch cannot write", error);
  }
  VLASERVE_RETURN_IF_ERROR(status);
  VLASERVE_RETURN_IF_ERROR(file->Commit());
  return size;
}

}  // namespace vlaserve
