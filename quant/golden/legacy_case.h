// One case of the reference's golden data: the files it is spread over, and what its configuration
// means in our settings. Includes LibTorch.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <ATen/core/Tensor.h>

#include "model/io/file_system.h"
#include "model/io/safetensors.h"
#include "model/io/status.h"
#include "quant/golden/tensor_compare.h"
#include "quant/pack/npz_pack.h"
#include "quant/pack/packer.h"

namespace vlaserve {

// Format: README of the quantizer's golden data, §2. Floats are float32 tensors, whatever the
// dtype of the case; integers int64.
class LegacyCase {
 public:
  // `path`: "cases/sq64__llm__f32.safetensors" inside of `folder`. Errors (kNotFound, kUnreadable)
  // name file and tensor.
  static Result<LegacyCase> Read(FileSystem& files, const std::string& folder,
                                 const std::string& path);

  const std::string& id() const { return id_; }
  const std::string& layer() const { return layer_; }  // id of its layer
  const nlohmann::json& info() const { return info_; }
  at::ScalarType dtype() const { return dtype_; }
  bool bf16() const { return dtype_ == at::kBFloat16; }
  // Neither weights nor activations quantized.
  bool transforms_only() const;

  // Undefined if the case has no such tensor. What was asked for counts as compared.
  at::Tensor Find(const std::string& tensor);
  // Tensors of the case's own file that were never asked for.
  std::vector<std::string> Unused() const;

  const std::vector<float>& weight() const { return weight_; }  // [N, K], rounded to the dtype
  at::Tensor WeightTensor() const;                              // the same, float32
  int64_t out_features() const { return out_features_; }
  int64_t in_features() const { return in_features_; }
  const at::Tensor& bias() const { return bias_; }  // undefined: none
  const std::vector<at::Tensor>& inputs() const {
    return inputs_;
  }  // x0, x1, … in the case's dtype
  const NpzPack& npz() const { return npz_; }

  // The layer's settings and compat bugs as the case's configuration says. With the imported pack
  // if `import`, else with transforms of our own.
  PackRequest Request(bool import) const;

 private:
  LegacyCase() = default;
  Status ReadConfig();
  Status ReadInputs(const SafetensorsFile& layer);

  std::string id_;
  std::string layer_;
  nlohmann::json info_;
  at::ScalarType dtype_ = at::kFloat;
  std::map<std::string, at::Tensor> tensors_;
  std::set<std::string> own_;  // in the case's own file
  std::set<std::string> used_;
  std::vector<float> weight_;
  int64_t out_features_ = 0;
  int64_t in_features_ = 0;
  at::Tensor bias_;
  std::vector<at::Tensor> inputs_;
  NpzPack npz_;
  LayerSettings settings_;
  CompatBugs compat_bugs_;
};

}  // namespace vlaserve
