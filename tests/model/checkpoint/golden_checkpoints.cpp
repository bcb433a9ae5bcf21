#include "tests/model/checkpoint/golden_checkpoints.h"

#include <string_view>

#include "model/io/file_system.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"

namespace vlaserve {

std::vector<std::string> GoldenCheckpoints(bool lerobot) {
  const Result<std::vector<std::string>> entries = PosixFileSystem().List(GoldenDir());
  INFO(entries.status().message());
  REQUIRE(entries.ok());
  std::vector<std::string> folders;
  for (const std::string& entry : *entries) {
    if (!HasGolden(entry + "/geometry.json") || !HasGolden(entry + "/config.json")) continue;
    if (ReadGoldenJson(entry + "/config.json").contains("type") == lerobot) {
      folders.push_back(entry);
    }
  }
  return folders;
}

std::string OpenpiTwin(const std::string& lerobot) {
  constexpr std::string_view kSuffix = "_lerobot";
  if (!lerobot.ends_with(kSuffix)) return "";
  const std::string name = lerobot.substr(0, lerobot.size() - kSuffix.size());
  return HasGolden(name + "/model.safetensors") ? name : "";
}

}  // namespace vlaserve
