// Presets, and what is settled between them and an engine.
#include "server/config/presets.h"

#include <string>

#include "tests/server/config/support.h"
#include "tests/support/temp_dir.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

namespace {

std::string ErrorOf(const std::string& assignment) {
  const auto config = LoadFrom({}, {assignment});
  REQUIRE(!config.ok());
  CHECK(config.status().code() == StatusCode::kInvalidArgument);
  return config.status().message();
}

}  // namespace

TEST_CASE("every embedded preset loads under every engine that can do it") {
  REQUIRE(PresetNames().size() >= 20);
  for (const std::string& name : PresetNames()) {
    INFO(name);
    const auto preset = ReadPreset(PosixFileSystem(), name);
    REQUIRE(preset.ok());
    CHECK(!preset->description.empty());
    std::vector<std::string> assignments = {"quant.preset=" + name};
    if (name == "smoothquant") assignments.push_back("quant.transform.smooth.file=s.json");
    const ResolvedConfig config = LoadOk({}, assignments);
    CHECK(config.config.quant.preset == name);
    CHECK((config.config.quant.engine == Engine::kOff) == (name == "fp"));
    for (const std::string engine : {"fake", "transforms_only", "off"}) {
      auto with_engine = assignments;
      with_engine.push_back("quant.engine=" + engine);
      LoadOk({}, with_engine);
    }
  }
}

TEST_CASE("best_w4a8 is what runs without rotations as plain_w4a8 and with 8-bit experts on pi0") {
  const LayerSettings best = LoadOk({}, {"quant.preset=best_w4a8"}).config.quant.layer;
  CHECK(best == LayerSettings{});
  const QuantConfig pi0 = LoadOk({}, {"quant.preset=best_w4a8_pi0"}).config.quant;
  REQUIRE(pi0.sites.size() == 1);
  LayerSettings expert = pi0.layer;
  for (const auto& change : pi0.sites[0].changes) change(expert);
  CHECK(pi0.sites[0].glob == "expert.*");
  CHECK(expert.weight.bits == 8);
  CHECK(expert.weight.group == 128);
  const LayerSettings plain = LoadOk({}, {"quant.preset=plain_w4a8"}).config.quant.layer;
  CHECK(plain.transform.rotate_in == RotateIn::kOff);
  CHECK(plain.weight.bits == 4);
}

TEST_CASE("show says which preset a value comes from, and everything wins over presets") {
  const ResolvedConfig config = LoadOk({}, {"quant.preset=best_w4a8", "quant.weight.group=64"});
  CHECK(FindEntry(config, "quant.weight.bits").source == ValueSource::kPreset);
  CHECK(FindEntry(config, "quant.weight.bits").origin == "best_w4a8");
  CHECK(FindEntry(config, "quant.weight.group").source == ValueSource::kCommandLine);
  CHECK(config.config.quant.layer.weight.group == 64);
}

TEST_CASE("a static mode of a preset becomes dynamic with a note, of a user it is an error") {
  const ResolvedConfig config = LoadOk({}, {"quant.preset=llm"});
  CHECK(config.config.quant.layer.activation.mode == ActivationMode::kDynamicToken);
  CHECK(NoteOf(config, "quant.act.mode static_channel (preset llm): ").find("dynamic_token") !=
        std::string::npos);
  CHECK(LoadOk({}, {"quant.preset=llm", "quant.engine=legacy_exact"})
            .config.quant.layer.activation.mode == ActivationMode::kStaticChannel);
  const auto refused = LoadFrom({}, {"quant.preset=llm", "quant.act.mode=static_channel"});
  REQUIRE(!refused.ok());
  CHECK(refused.status().message().starts_with("quant.act.mode (command line --set): "));
}

TEST_CASE("an engine that a user names is not changed") {
  CHECK(LoadOk({}, {"quant.preset=llm", "quant.act.bits=0"}).config.quant.engine == Engine::kFake);
  const auto refused = LoadFrom({}, {"quant.preset=llm", "quant.act.bits=0", "quant.engine=int"});
  REQUIRE(!refused.ok());
  CHECK(refused.status().message().starts_with("quant.act.bits (command line --set): "));
}

TEST_CASE("an engine alone quantizes the language model and the expert") {
  CHECK(LoadOk({}, {"quant.engine=int"}).config.quant.select.groups.size() == 4);
  CHECK(LoadOk({}, {"quant.engine=int", "quant.select.include=fc1"})
            .config.quant.select.groups.empty());
}

TEST_CASE("a user's preset file works like a preset, its paths from its own folder") {
  const TempDir dir;
  const std::string path =
      dir.Write("mine.json", R"({"description": "mine", "quant": {"engine": "int",
               "transform": {"smooth": {"mode": "file", "file": "s.json"}}},
               "pack_cache": {"mode": "ro"}})");
  const ResolvedConfig config = LoadOk({}, {"quant.preset=" + path});
  CHECK(config.config.quant.engine == Engine::kInt);
  CHECK(config.config.quant.smooth_file == dir.path() + "/s.json");
  CHECK(config.config.pack_cache.mode == PackCacheOptions::Mode::kReadOnly);
  CHECK(FindEntry(config, "quant.engine").origin == path);
}

TEST_CASE("a preset that is none is an error naming the option and the file") {
  CHECK(ErrorOf("quant.preset=best")
            .starts_with("quant.preset (command line --set): unknown preset \"best\""));
  CHECK(ErrorOf("quant.preset=best").find("best_w4a8_pi0") != std::string::npos);
  CHECK(ErrorOf("quant.preset=no/such.json").find("no/such.json") != std::string::npos);
  const TempDir dir;
  for (const std::string text :
       {R"({"server": {"insecure": true}})", R"({"quant": {"preset": "fp"}})",
        R"({"quant": {"bits": 4}})", R"({"description": 1})", R"([])", R"({"engine": "int"})"}) {
    INFO(text);
    const std::string path = dir.Write("mine.json", text);
    CHECK(ErrorOf("quant.preset=" + path).find(path) != std::string::npos);
  }
}

TEST_CASE("the preset smoothquant asks for its file") {
  CHECK(ErrorOf("quant.preset=smoothquant").starts_with("quant.transform.smooth.file"));
}
