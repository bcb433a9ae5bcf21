#include "tests/support/golden.h"

#include <cstdlib>
#include <iostream>

#include "model/io/json.h"
#include "tests/support/catch.h"

namespace vlaserve {

std::string GoldenDir() {
  const char* folder = std::getenv("VLASERVE_GOLDEN_DIR");
  return folder != nullptr && *folder != '\0' ? folder : VLASERVE_DEFAULT_GOLDEN_DIR;
}

std::string GoldenPath(std::string_view name) { return JoinPath(GoldenDir(), name); }

bool HasGolden(std::string_view name) {
  const std::string path = GoldenPath(name);
  return PosixFileSystem().IsFile(path) || PosixFileSystem().IsDirectory(path);
}

nlohmann::json ReadGoldenJson(std::string_view name) {
  auto json = ReadJsonFile(PosixFileSystem(), GoldenPath(name));
  INFO(json.status().message());
  REQUIRE(json.ok());
  return std::move(json).value();
}

SafetensorsFile OpenGoldenTensors(std::string_view name) {
  auto file = SafetensorsFile::Open(PosixFileSystem(), GoldenPath(name));
  INFO(file.status().message());
  REQUIRE(file.ok());
  return std::move(file).value();
}

const TensorView& GoldenTensor(const SafetensorsFile& file, std::string_view tensor) {
  const TensorView* const view = file.Find(tensor);
  INFO(file.path() << ": no tensor " << tensor);
  REQUIRE(view != nullptr);
  return *view;
}

double GoldenNumber(const nlohmann::json& value) {
  if (value.is_string()) {
    const std::string_view text = value.get_ref<const std::string&>();
    if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
    if (text == "inf") return std::numeric_limits<double>::infinity();
    if (text == "-inf") return -std::numeric_limits<double>::infinity();
  }
  INFO("golden number: " << value.dump());
  REQUIRE(value.is_number());
  return value.get<double>();
}

void ReportGoldenCases(std::string_view name, size_t cases) {
  std::cout << "golden: " << cases << " cases of " << name << std::endl;
  INFO("golden folder " << GoldenDir() << " holds no cases of " << name);
  REQUIRE(cases > 0);
}

}  // namespace vlaserve
