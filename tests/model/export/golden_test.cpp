// The archive's own code against the reference's numbers.
#include "tests/support/golden.h"

#include "tests/model/export/torch_archive.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

// Largest difference of float32 runs from the reference's final actions (golden README, 1.3).
constexpr double kFloat32Limit = 1e-5;

double Difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

// Runs every case of every model folder and hands case name, actions and tensors to `check`.
template <typename Prepare, typename Check>
void ForEachCase(StoredDtype dtype, const Prepare& prepare, const Check& check) {
  c10::InferenceMode inference;
  size_t count = 0;
  for (const std::string& folder : ModelFolders()) {
    TorchArchive archive(folder, dtype);
    prepare(archive);
    const SafetensorsFile tensors = OpenGoldenTensors(folder + "/cases.safetensors");
    const size_t cases = ReadGoldenJson(folder + "/cases.json").at("cases").size();
    for (size_t i = 0; i < cases; ++i) {
      INFO(folder << " case " << i);
      const at::Tensor actions =
          archive.module.get_method("sample_actions")(CaseArguments(folder, tensors, i)).toTensor();
      const auto reference = [&](const std::string& name) {
        return ToTorch(GoldenTensor(tensors, "case" + std::to_string(i) + "." + name));
      };
      check(actions.squeeze(0), reference);
      ++count;
    }
  }
  ReportGoldenCases("sample_actions", count);
}

TEST_CASE("golden: sample_actions in float32 equals the reference") {
  ForEachCase(
      StoredDtype::kAsStored, [](TorchArchive& archive) { archive.ConvertToFloat32(); },
      [](const at::Tensor& actions, const auto& reference) {
        CHECK(Difference(actions, reference("actions")) <= kFloat32Limit);
      });
}

TEST_CASE("golden: rounded rotary frequencies give openpi's rounded actions") {
  ForEachCase(
      StoredDtype::kFloat32,
      [](TorchArchive& archive) {
        const at::Tensor exact = archive.module.attr("rope_inv_freq").toTensor();
        archive.module.setattr("rope_inv_freq", exact.to(at::kBFloat16).to(at::kFloat));
      },
      [](const at::Tensor& actions, const auto& reference) {
        CHECK(Difference(actions, reference("actions_fp32_bf16_rope")) <= kFloat32Limit);
      });
}

TEST_CASE("golden: bfloat16 stays as close to float32 as openpi's own policy, times two") {
  ForEachCase(
      StoredDtype::kBfloat16, [](TorchArchive&) {},
      [](const at::Tensor& actions, const auto& reference) {
        const double own = Difference(reference("actions_bf16_policy"), reference("actions"));
        CHECK(Difference(actions, reference("actions")) <= 2 * own);
      });
}

TEST_CASE("golden: a batch of cases gives what each gives alone") {
  c10::InferenceMode inference;
  size_t count = 0;
  for (const std::string& folder : ModelFolders()) {
    TorchArchive archive(folder, StoredDtype::kFloat32);
    const SafetensorsFile tensors = OpenGoldenTensors(folder + "/cases.safetensors");
    const nlohmann::json cases = ReadGoldenJson(folder + "/cases.json").at("cases");
    const int64_t steps = cases.at(0).at("num_steps").get<int64_t>();
    std::vector<size_t> members;
    for (size_t i = 0; i < cases.size(); ++i) {
      if (cases[i].at("num_steps") == steps) members.push_back(i);
    }
    std::vector<c10::IValue> batch;
    std::vector<at::Tensor> expected;
    for (const size_t i : members) {
      std::vector<c10::IValue> one = CaseArguments(folder, tensors, i);
      expected.push_back(ToTorch(GoldenTensor(tensors, "case" + std::to_string(i) + ".actions")));
      if (batch.empty()) {
        batch = std::move(one);
        continue;
      }
      c10::List<at::Tensor> images;
      for (size_t c = 0; c < batch[0].toTensorList().size(); ++c) {
        images.push_back(at::cat({batch[0].toTensorList().get(c), one[0].toTensorList().get(c)}));
      }
      batch[0] = images;
      for (size_t a = 1; a < 6; ++a) batch[a] = at::cat({batch[a].toTensor(), one[a].toTensor()});
    }
    INFO(folder);
    const at::Tensor actions = archive.module.get_method("sample_actions")(batch).toTensor();
    CHECK(Difference(actions, at::stack(expected)) <= kFloat32Limit);
    count += members.size();
  }
  ReportGoldenCases("batched sample_actions", count);
}

}  // namespace
}  // namespace vlaserve
