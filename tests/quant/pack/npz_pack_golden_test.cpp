// openpi_duquant's own packs: read, and checked by what the reference did with them.
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "model/io/json.h"
#include "quant/pack/npz_pack.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"

namespace vlaserve {
namespace {

constexpr const char* kPackFolder = "quant/legacy/packs";

std::vector<std::string> Names(const std::string& folder) {
  if (!HasGolden(folder)) return {};
  const auto names = PosixFileSystem().List(GoldenPath(folder));
  REQUIRE(names.ok());
  return *names;
}

NpzPack ReadPack(const std::string& name) {
  const auto pack = ReadNpzPack(PosixFileSystem(), GoldenPath(name));
  INFO((pack.ok() ? name : pack.status().message()));
  REQUIRE(pack.ok());
  return *pack;
}

// x_block · R for every block of the columns of `rows` [rows, columns].
std::vector<double> Rotated(const std::vector<double>& rows, size_t columns, const NpzPack& pack) {
  std::vector<double> result(rows.size());
  const size_t block = static_cast<size_t>(pack.block);
  for (size_t row = 0; row < rows.size() / columns; ++row) {
    for (size_t b = 0; b < pack.rotations.size(); ++b) {
      const std::vector<float>& rotation = pack.rotations[b];
      const size_t size = std::min(block, columns - b * block);
      for (size_t j = 0; j < size; ++j) {
        double sum = 0;
        for (size_t i = 0; i < size; ++i) {
          sum += rows[row * columns + b * block + i] * double{rotation[i * size + j]};
        }
        result[row * columns + b * block + j] = sum;
      }
    }
  }
  return result;
}

std::vector<double> Permuted(const std::vector<double>& rows, size_t columns, const NpzPack& pack) {
  if (pack.permutation.empty()) return rows;
  std::vector<double> result(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const size_t row = i / columns;
    result[i] = rows[row * columns + static_cast<size_t>(pack.permutation[i % columns])];
  }
  return result;
}

double LargestMagnitude(const std::vector<double>& values) {
  double largest = 0;
  for (const double value : values) largest = std::max(largest, std::abs(value));
  return largest;
}

void CheckOrthogonal(const std::vector<float>& matrix) {
  const size_t size = static_cast<size_t>(std::lround(std::sqrt(double(matrix.size()))));
  REQUIRE(size * size == matrix.size());
  double worst = 0;
  for (size_t i = 0; i < size; ++i) {
    for (size_t j = 0; j < size; ++j) {
      double sum = 0;
      for (size_t k = 0; k < size; ++k) {
        sum += double{matrix[k * size + i]} * double{matrix[k * size + j]};
      }
      worst = std::max(worst, std::abs(sum - (i == j ? 1 : 0)));
    }
  }
  CHECK(worst <= 1e-5);
}

bool IsIdentity(const std::vector<float>& matrix) {
  const size_t size = static_cast<size_t>(std::lround(std::sqrt(double(matrix.size()))));
  for (size_t i = 0; i < matrix.size(); ++i) {
    if (matrix[i] != (i / size == i % size ? 1.0F : 0.0F)) return false;
  }
  return true;
}

// Columns of the rotated weight are orthogonal within every block, because R are left singular
// vectors of the block. A transposed R does not do that.
void CheckDiagonalises(const NpzPack& pack, const TensorView& weight) {
  const size_t columns = static_cast<size_t>(pack.in_features);
  const std::vector<double> w_t =
      Rotated(Permuted(weight.ToDoubles(), columns, pack), columns, pack);
  const size_t rows = w_t.size() / columns;
  const size_t block = static_cast<size_t>(pack.block);
  for (size_t begin = 0; begin < columns; begin += block) {
    double largest = 0, off_diagonal = 0;
    const size_t end = std::min(begin + block, columns);
    for (size_t i = begin; i < end; ++i) {
      for (size_t j = begin; j < end; ++j) {
        double sum = 0;
        for (size_t r = 0; r < rows; ++r) sum += w_t[r * columns + i] * w_t[r * columns + j];
        double& worst = i == j ? largest : off_diagonal;
        worst = std::max(worst, std::abs(sum));
      }
    }
    CHECK(off_diagonal <= 1e-4 * largest);
  }
}

// Weights of the golden layers by their names in the model.
std::map<std::string, std::string> LayerFiles() {
  std::map<std::string, std::string> files;
  for (const std::string& name : Names("quant/legacy/layers")) {
    const SafetensorsFile file = OpenGoldenTensors(JoinPath("quant/legacy/layers", name));
    const auto info = ParseJson(file.metadata().at("info"), name);
    REQUIRE(info.ok());
    files[NpzFileName((*info)["name"].get<std::string>())] = JoinPath("quant/legacy/layers", name);
  }
  return files;
}

TEST_CASE("npz packs: golden packs are read, rotations are orthogonal and fit their weights") {
  const auto layers = LayerFiles();
  size_t cases = 0;
  for (const std::string& folder : Names(kPackFolder)) {
    for (const std::string& name : Names(JoinPath(kPackFolder, folder))) {
      const std::string path = JoinPath(JoinPath(kPackFolder, folder), name);
      INFO(path);
      const NpzPack pack = ReadPack(path);
      for (const auto& rotation : pack.rotations) CheckOrthogonal(rotation);
      for (const auto& rotation : pack.output_rotations) CheckOrthogonal(rotation);
      CHECK(pack.sha256.size() == 64);
      const auto found = layers.find(name);
      if (found != layers.end() && !IsIdentity(pack.rotations.front())) {
        const SafetensorsFile layer = OpenGoldenTensors(found->second);
        CheckDiagonalises(pack, GoldenTensor(layer, "weight"));
      }
      ++cases;
    }
  }
  ReportGoldenCases("npz packs", cases);
}

TEST_CASE("npz packs: golden inputs are transformed as the reference did") {
  size_t cases = 0;
  for (const std::string& name : Names("quant/legacy/cases")) {
    INFO(name);
    const SafetensorsFile file = OpenGoldenTensors(JoinPath("quant/legacy/cases", name));
    const auto info = ParseJson(file.metadata().at("info"), name);
    REQUIRE(info.ok());
    const std::string pack_name = JoinPath("quant/legacy", info->value("pack", ""));
    const std::string layer_name =
        JoinPath("quant/legacy/layers", info->value("layer", "").append(".safetensors"));
    if (info->value("dtype", "") != "f32" || !info->contains("pack") || !HasGolden(pack_name) ||
        !HasGolden(layer_name)) {
      continue;
    }
    const NpzPack pack = ReadPack(pack_name);
    const SafetensorsFile layer = OpenGoldenTensors(layer_name);
    const size_t columns = static_cast<size_t>(pack.in_features);
    for (const std::string input_name : {"x0", "x1", "x2", "x3"}) {
      const TensorView* const expected = file.Find(input_name + "_t");
      const TensorView* const input = layer.Find(input_name);
      if (expected == nullptr || input == nullptr) continue;
      const std::vector<double> x_t =
          Rotated(Permuted(input->ToDoubles(), columns, pack), columns, pack);
      const std::vector<double> reference = expected->ToDoubles();
      if (!std::isfinite(LargestMagnitude(reference))) continue;  // a NaN or Inf on purpose
      CHECK(MaxAbsDiff(x_t, reference) <= 2e-6 * LargestMagnitude(reference));
      ++cases;
    }
  }
  ReportGoldenCases("npz transforms", cases);
}

}  // namespace
}  // namespace vlaserve
