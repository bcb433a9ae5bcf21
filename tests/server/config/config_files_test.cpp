// The files of the repository that come from the option table, and the ready-made config files.
#include <filesystem>
#include <string>

#include "model/io/json.h"
#include "server/config/render.h"
#include "tests/support/catch.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

namespace {

const std::string kSource = VLASERVE_SOURCE_DIR;

std::string Read(const std::string& path) {
  auto text = PosixFileSystem().Read(path, size_t{1} << 20);
  INFO(path);
  REQUIRE(text.ok());
  return *std::move(text);
}

}  // namespace

TEST_CASE("configs/schema.json is what `vlaserve config schema` prints") {
  CHECK(Read(kSource + "/configs/schema.json") == ConfigSchema());
}

TEST_CASE("the README's table is what `vlaserve config table` prints") {
  const std::string readme = Read(kSource + "/README.md");
  const std::string begin = "<!-- options:begin -->\n";
  const std::string end = "<!-- options:end -->";
  const size_t from = readme.find(begin);
  const size_t to = readme.find(end);
  REQUIRE(from != std::string::npos);
  REQUIRE(to != std::string::npos);
  const size_t start = from + begin.size();
  CHECK(readme.substr(start, to - start) == MarkdownTable());
}

TEST_CASE("every config file in configs/ is valid and names an archive and the schema") {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kSource + "/configs")) {
    const std::string path = entry.path().string();
    if (entry.path().extension() != ".json" || entry.path().filename() == "schema.json") continue;
    INFO(path);
    const auto config = LoadConfig(PosixFileSystem(), {.file = path});
    CHECK(config.status().message() == "");
    REQUIRE(config.ok());
    CHECK(!config->config.archive.empty());
    const auto json = ReadJsonFile(PosixFileSystem(), path);
    REQUIRE(json.ok());
    CHECK((*json)["$schema"] == "schema.json");
    ++count;
  }
  CHECK(count >= 3);
}
