// Renderings of the option table and of a resolved configuration.
#include "server/config/render.h"

#include <algorithm>
#include <sstream>
#include <string>

#include "tests/support/catch.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)
using Json = nlohmann::json;

namespace {

ResolvedConfig Load(const ConfigSources& sources) {
  auto config = LoadConfig(PosixFileSystem(), sources);
  REQUIRE(config.ok());
  return *std::move(config);
}

}  // namespace

TEST_CASE("show prints every option with its value and where that comes from") {
  const ResolvedConfig config = Load({.assignments = {"server.address=127.0.0.1:7"},
                                      .environment = {{"VLASERVE_RUNTIME_THREADS", "3"}}});
  const Json shown = Json::parse(ShowJson(config));
  CHECK(shown.size() == Options().size());
  CHECK(shown["server.address"] ==
        Json({{"value", "127.0.0.1:7"}, {"source", "command line"}, {"origin", "--set"}}));
  CHECK(shown["runtime.threads"] ==
        Json({{"value", 3}, {"source", "environment"}, {"origin", "VLASERVE_RUNTIME_THREADS"}}));
  CHECK(shown["log.level"] == Json({{"value", "info"}, {"source", "default"}}));
  CHECK(shown["runtime.num_steps"]["value"].is_null());

  std::istringstream lines(ShowText(config));
  std::string line;
  for (const Option& option : Options()) {
    REQUIRE(std::getline(lines, line));
    INFO(line);
    CHECK(line.rfind(std::string(option.key) + " ", 0) == 0);
    if (option.key == "runtime.threads") {
      CHECK(line.find(" 3 ") != std::string::npos);
      CHECK(line.find("environment VLASERVE_RUNTIME_THREADS") != std::string::npos);
    }
  }
  CHECK(!std::getline(lines, line));
}

TEST_CASE("the schema describes every option where a config file has it") {
  const Json schema = Json::parse(ConfigSchema());
  CHECK(schema["$schema"] == "https://json-schema.org/draft/2020-12/schema");
  for (const Option& option : Options()) {
    INFO(option.key);
    std::string path;
    std::istringstream names{std::string(option.key)};
    for (std::string name; std::getline(names, name, '.');) path += "/properties/" + name;
    const Json::json_pointer pointer(path);
    REQUIRE(schema.contains(pointer));
    const Json& entry = schema[pointer];
    CHECK(entry["description"] == option.help);
    CHECK(entry.contains("default") == !option.default_value.is_null());
    if (!option.values.empty()) {
      const bool list = option.type == OptionType::kStringList;
      CHECK((list ? entry["items"] : entry)["enum"].size() == option.values.size());
    }
    const Json& section = schema[pointer.parent_pointer().parent_pointer()];
    CHECK(section["type"] == "object");
    CHECK(section["additionalProperties"] == false);
  }
}

TEST_CASE("the schema describes what stands in lists and maps") {
  const Json schema = Json::parse(ConfigSchema());
  const Json& quant = schema["properties"]["quant"]["properties"];
  CHECK(quant["transform"]["properties"]["block"]["enum"].size() == 5);
  CHECK(quant["select"]["properties"]["layers"]["items"]["type"] == "string");
  const Json& bits = quant["select"]["properties"]["per_layer_wbits"];
  CHECK(bits["additionalProperties"]["type"] == "integer");
  const Json& site = quant["sites"]["additionalProperties"];
  CHECK(site["additionalProperties"] == false);
  CHECK(site["properties"]["weight.bits"]["enum"].size() == 10);
  CHECK(site["properties"].contains("transform.rotate_in"));
  CHECK(!site["properties"].contains("transform.smooth.file"));
}

TEST_CASE("the Markdown table has one row per option") {
  const std::string table = MarkdownTable();
  for (const Option& option : Options()) {
    CHECK(table.find("| `" + std::string(option.key) + "` | ") != std::string::npos);
  }
  CHECK(static_cast<size_t>(std::count(table.begin(), table.end(), '\n')) == Options().size() + 2);
}

TEST_CASE("the help lists every option") {
  for (const Option& option : Options()) {
    CHECK(OptionsHelp().find("  " + std::string(option.key) + " = ") != std::string::npos);
  }
}
