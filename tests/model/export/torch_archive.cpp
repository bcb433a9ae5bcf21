#include "tests/model/export/torch_archive.h"

#include <ATen/Parallel.h>

#include "tests/support/catch.h"
#include "tests/support/golden.h"

namespace vlaserve {

TorchArchive::TorchArchive(const std::string& folder, StoredDtype dtype)
    : path(directory.File("policy.pt")),
      summary(ExportFolder(folder, path, dtype)),
      module(torch::jit::load(path)) {
  at::set_num_threads(1);  // tests run beside each other
}

std::string TorchArchive::Extra(const std::string& name) const {
  torch::jit::ExtraFilesMap extra = {{name, ""}};
  torch::jit::load(path, std::nullopt, extra);
  return extra[name];
}

void TorchArchive::ConvertToFloat32() { module.to(at::kFloat); }

at::Tensor ToTorch(const TensorView& view) {
  const std::map<DType, at::ScalarType> types = {
      {DType::kF32, at::kFloat}, {DType::kF64, at::kDouble}, {DType::kU8, at::kByte},
      {DType::kI32, at::kInt},   {DType::kI64, at::kLong},   {DType::kBool, at::kBool}};
  REQUIRE(types.count(view.dtype) == 1);
  return at::from_blob(const_cast<std::byte*>(view.bytes.data()), view.shape, types.at(view.dtype))
      .clone();
}

std::vector<c10::IValue> CaseArguments(const std::string& folder, const SafetensorsFile& tensors,
                                       size_t index) {
  const nlohmann::json cases = ReadGoldenJson(folder + "/cases.json");
  const nlohmann::json geometry = ReadGoldenJson(folder + "/geometry.json");
  const nlohmann::json& golden = cases.at("cases").at(index);
  const auto size = geometry.at("image_size").get<int64_t>();
  const auto tensor = [&](const std::string& name) {
    return ToTorch(GoldenTensor(tensors, "case" + std::to_string(index) + "." + name)).unsqueeze(0);
  };

  c10::List<at::Tensor> images;
  std::vector<at::Tensor> valid;
  for (const nlohmann::json& slot : cases.at("camera_order")) {
    const std::string name = golden.at("images").at(slot.get<std::string>());
    const at::Tensor picture = name == "zeros" ? at::zeros({size, size, 3}, at::kByte)
                                               : ToTorch(GoldenTensor(tensors, name));
    images.push_back(picture.to(at::kFloat).div(255).mul(2).sub(1).permute({2, 0, 1}).unsqueeze(0));
    valid.push_back(at::scalar_tensor(
        golden.at("image_masks").at(slot.get<std::string>()).get<bool>(), at::kBool));
  }
  return {images,
          at::stack(valid).unsqueeze(0),
          tensor("tokens").to(at::kLong),
          tensor("token_mask"),
          tensor("state"),
          tensor("noise"),
          golden.at("num_steps").get<int64_t>()};
}

}  // namespace vlaserve
