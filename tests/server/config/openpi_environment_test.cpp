// The variables of openpi_duquant and its scripts.
#include "server/config/openpi_environment.h"

#include <string>

#include "tests/server/config/support.h"
#include "tests/support/temp_dir.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

namespace {

std::string ErrorOf(const Environment& environment,
                    const std::vector<std::string>& assignments = {}) {
  const auto config = LoadFrom(environment, assignments);
  if (config.ok()) return "";
  CHECK(config.status().code() == StatusCode::kInvalidArgument);
  return config.status().message();
}

}  // namespace

TEST_CASE("no variable, or the pack folder alone, changes nothing") {
  CHECK(LoadOk({}).config.quant.engine == Engine::kOff);
  CHECK(LoadOk({}).notes.empty());
  const ResolvedConfig config = LoadOk({{"OPENPI_DUQUANT_PACKDIR", "packs"}});
  CHECK(config.config.quant.engine == Engine::kOff);
  CHECK(config.config.pack_cache.directory == "packs");
}

TEST_CASE("any other variable starts from openpi_duquant's defaults") {
  const ResolvedConfig config = LoadOk({{"OPENPI_DUQUANT_FOO", ""}});
  const QuantConfig& quant = config.config.quant;
  CHECK(quant.preset == "openpi_duquant");
  CHECK(quant.engine == Engine::kInt);
  CHECK(quant.select.scope == "policy.dit.");
  CHECK(quant.layer.weight.bits == 4);
  CHECK(quant.layer.weight.group == 0);
  CHECK(quant.layer.weight.rounding == WeightRounding::kGrid5);
  CHECK(quant.layer.activation.bits == 8);
  CHECK(quant.layer.activation.mode == ActivationMode::kDynamicToken);
  CHECK(quant.layer.activation.percentile == 99.9);
  CHECK(quant.layer.transform.block == 16);
  CHECK(quant.layer.transform.permute == Permute::kWeightZigzag);
  CHECK(quant.layer.transform.rotate_in == RotateIn::kWeightSvd);
  CHECK(quant.layer.transform.rotate_out == RotateOut::kRestore);
  CHECK(FindEntry(config, "quant.preset").origin == "OPENPI_DUQUANT_FOO");
  CHECK(!NoteOf(config, "quant.act.mode static_channel (preset openpi_duquant): ").empty());
}

TEST_CASE("every variable sets the option that means the same") {
  const ResolvedConfig config = LoadOk({{"OPENPI_DUQUANT_SCOPE", "a."},
                                        {"OPENPI_DUQUANT_INCLUDE", "b"},
                                        {"OPENPI_DUQUANT_EXCLUDE", ""},
                                        {"OPENPI_DUQUANT_LAYERS", "x, y"},
                                        {"OPENPI_DUQUANT_WBITS", "x:8,bad"},
                                        {"OPENPI_DUQUANT_WBITS_DEFAULT", " 6"},
                                        {"OPENPI_DUQUANT_BLOCK", "64"},
                                        {"OPENPI_DUQUANT_BLOCK_OUT", "32"},
                                        {"OPENPI_DUQUANT_PERMUTE", "0"},
                                        {"OPENPI_DUQUANT_ROW_ROT", "0"},
                                        {"OPENPI_DUQUANT_ACT_PCT", "98"},
                                        {"OPENPI_DUQUANT_CALIB_STEPS", "0"},
                                        {"OPENPI_DUQUANT_DRYRUN", "yes"},
                                        {"OPENPI_DUQUANT_DEBUG", ""},
                                        {"OPENPI_DUQUANT_PROFILE", "1"},
                                        {"OPENPI_DUQUANT_PRECACHE_WEIGHTS", "0"},
                                        {"OPENPI_DUQUANT_INCLUDE_ACTION_HEAD", "1"},
                                        {"SMOOTHQUANT_ENABLE", "YES"},
                                        {"SMOOTHQUANT_ALPHA_PATH", "s.json"}});
  const QuantConfig& quant = config.config.quant;
  CHECK(quant.select.scope == "a.");
  CHECK(quant.select.include == "b");
  CHECK(quant.select.exclude.empty());
  CHECK(!quant.select.exclude_nothing);
  CHECK(quant.select.layers == std::vector<std::string>{"x", "y"});
  CHECK(quant.select.per_layer_wbits == std::map<std::string, int64_t>{{"x", 8}});
  CHECK(quant.select.allow_unknown_names);
  CHECK(quant.select.include_action_head);
  CHECK(quant.layer.weight.bits == 6);
  CHECK(quant.layer.transform.block == 64);
  CHECK(quant.layer.transform.block_out == 32);
  CHECK(quant.layer.transform.permute == Permute::kOff);
  CHECK(quant.layer.transform.rotate_out == RotateOut::kOff);
  CHECK(quant.row_rot_word == "0");
  CHECK(quant.layer.activation.percentile == 98);
  CHECK(quant.layer.activation.calib_batches == 1);
  CHECK(quant.dry_run);
  CHECK(quant.debug);
  CHECK(quant.profile);
  CHECK(!quant.precache_weights);
  CHECK(quant.layer.transform.smooth == SmoothMode::kFile);
  CHECK(quant.smooth_file == "s.json");
  CHECK(FindEntry(config, "quant.transform.block").origin == "OPENPI_DUQUANT_BLOCK");
}

TEST_CASE("every variable found is reported once, with what became of it and why") {
  const Environment environment = {{"OPENPI_DUQUANT_LS", "0.15"},
                                   {"OPENPI_DUQUANT_BACKEND", "fake"},
                                   {"OPENPI_DUQUANT_PROFILE_SYNC", "0"},
                                   {"OPENPI_DUQUANT_BLOCK", "16"},
                                   {"OPENPI_DUQUANT_SPELLING", "1"},
                                   {"ATM_ENABLE", "1"},
                                   {"ATM_ALPHA_PATH", "a.json"},
                                   {"GR00T_OHB_SCOPE", "dit"},
                                   {"OPENPI_SMOOTHQUANT_ENABLE", "0"},
                                   {"SMOOTHQUANT_ALPHA_PATH", "s.json"},
                                   {"OPENPI_W8A8_ENABLE", "1"},
                                   {"OPENPI_W8A8_OPT_M", "1,16"},
                                   {"OPENPI_BITBLAS_GROUP_SIZE", "128"},
                                   {"OPENPI_POLICY_PROFILE", "0"},
                                   {"OPENPI_PRINT_LINEAR_SHAPES", "0"},
                                   {"OPENPI_PROFILE_LINEAR", "1"},
                                   {"OPENPI_DISABLE_TORCH_COMPILE", "1"},
                                   {"TORCH_COMPILE_DISABLE", "1"},
                                   {"TORCHDYNAMO_DISABLE", "1"},
                                   {"TORCH_CUDA_GRAPH_DISABLE", "1"},
                                   {"TORCHINDUCTOR_DISABLE_CUDAGRAPHS", "1"},
                                   {"PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True"},
                                   {"CUBLAS_WORKSPACE_CONFIG", ":8"},
                                   {"CKPT", "/c"},
                                   {"CONFIG", "pi05_libero"},
                                   {"TASK_SUITE", "libero_goal"},
                                   {"NUM_TRIALS", "20"},
                                   {"SEED", "42"},
                                   {"RESULTS_OUT_PATH", "r"},
                                   {"VIDEO_OUT_PATH", "v"},
                                   {"OPENPI_DATA_HOME", "/d"}};
  auto with_others = environment;
  with_others["HOME"] = "/root";
  with_others["TORCH_HOME"] = "/t";
  const auto overlay = ReadOpenpiEnvironment(PosixFileSystem(), with_others);
  REQUIRE(overlay.ok());
  REQUIRE(overlay->report.size() == environment.size());
  size_t i = 0;
  for (const auto& [name, value] : environment) {
    const std::string& line = overlay->report[i++];
    INFO(line);
    const std::string begin = name + "=" + value + ": ";
    REQUIRE(line.starts_with(begin));
    const std::string verdict = line.substr(begin.size());
    CHECK((verdict.starts_with("mapped: ") || verdict.starts_with("honoured: ") ||
           verdict.starts_with("not applicable: ")));
  }
  CHECK(NoteOf(LoadOk(environment), "OPENPI_W8A8_ENABLE=1: ").find("OPENPI_DUQUANT_BACKEND") !=
        std::string::npos);
}

TEST_CASE("OPENPI_DUQUANT_PROFILE_SYNC is what the profile's title says") {
  CHECK(LoadOk({{"OPENPI_DUQUANT_PROFILE", "1"}}).config.quant.profile_sync);
  for (const auto& [text, on] :
       std::map<std::string, bool>{{"0", false}, {"False", false}, {"1", true}, {"", true}}) {
    INFO(text);
    const ResolvedConfig config = LoadOk({{"OPENPI_DUQUANT_PROFILE_SYNC", text}});
    CHECK(config.config.quant.profile_sync == on);
    CHECK(NoteOf(config, "OPENPI_DUQUANT_PROFILE_SYNC=" + text +
                             ": mapped: cuda_sync=" + (on ? "on" : "off")) != "");
  }
}

TEST_CASE("a value that openpi_duquant refuses is an error with Python's message") {
  CHECK(ErrorOf({{"OPENPI_DUQUANT_BLOCK", "16.0"}}) ==
        "environment variable OPENPI_DUQUANT_BLOCK: invalid literal for int() with base 10: "
        "'16.0'");
  CHECK(ErrorOf({{"OPENPI_DUQUANT_LS", "abc"}}) ==
        "environment variable OPENPI_DUQUANT_LS: could not convert string to float: 'abc'");
  CHECK(ErrorOf({{"OPENPI_DUQUANT_INCLUDE", "*norm"}}) ==
        "quant.select.include (environment OPENPI_DUQUANT_INCLUDE): nothing to repeat at position "
        "0 in \"*norm\"");
}

TEST_CASE("a value that this server cannot do is an error naming the variable") {
  CHECK(ErrorOf({{"OPENPI_DUQUANT_BLOCK", "48"}}) ==
        "environment variable OPENPI_DUQUANT_BLOCK: expected 16, 32, 64, 128 or 256, found number "
        "48");
  CHECK(ErrorOf({{"OPENPI_DUQUANT_WBITS_DEFAULT", "12"}}).find("OPENPI_DUQUANT_WBITS_DEFAULT") !=
        std::string::npos);
  CHECK(ErrorOf({{"OPENPI_DUQUANT_CALIB_STEPS", "-1"}}).find("OPENPI_DUQUANT_CALIB_STEPS") !=
        std::string::npos);
  CHECK(ErrorOf({{"SMOOTHQUANT_ENABLE", "1"}}).find("SMOOTHQUANT_ALPHA_PATH") != std::string::npos);
}

TEST_CASE("a percentile out of range matters to the engine that uses it") {
  const Environment environment = {{"OPENPI_DUQUANT_ACT_PCT", "101"}};
  CHECK(ErrorOf(environment).empty());
  CHECK(ErrorOf(environment, {"quant.engine=legacy_exact"}).find("OPENPI_DUQUANT_ACT_PCT") !=
        std::string::npos);
}

TEST_CASE("a preset that somebody names is where the variables change single settings") {
  const ResolvedConfig config =
      LoadOk({{"OPENPI_DUQUANT_WBITS_DEFAULT", "8"}}, {"quant.preset=best_w4a8"});
  CHECK(config.config.quant.preset == "best_w4a8");
  CHECK(config.config.quant.layer.weight.bits == 8);
  CHECK(config.config.quant.layer.weight.group == 128);
  CHECK(config.config.quant.select.groups.size() == 4);
}

TEST_CASE("files yield to openpi_duquant's variables, these to VLASERVE_ variables and --set") {
  const Environment environment = {{"OPENPI_DUQUANT_BLOCK", "32"},
                                   {"OPENPI_DUQUANT_ABITS", "8"},
                                   {"VLASERVE_QUANT_TRANSFORM_BLOCK", "64"}};
  const ResolvedConfig config = LoadOk(environment);
  CHECK(config.config.quant.layer.transform.block == 64);
  CHECK(LoadOk(environment, {"quant.transform.block=128"}).config.quant.layer.transform.block ==
        128);
  const TempDir dir;
  const std::string file =
      dir.Write("c.json", R"({"quant": {"transform": {"block": 256, "block_out": 16}}})");
  const auto loaded = LoadConfig(PosixFileSystem(),
                                 {.file = file, .environment = {{"OPENPI_DUQUANT_BLOCK", "32"}}});
  REQUIRE(loaded.ok());
  CHECK(loaded->config.quant.layer.transform.block == 32);
  CHECK(loaded->config.quant.layer.transform.block_out == 16);
}

TEST_CASE("words for row rotation that openpi_duquant does not know rotate nothing here") {
  for (const std::string word : {"none", ""}) {
    const ResolvedConfig config = LoadOk({{"OPENPI_DUQUANT_ROW_ROT", word}});
    CHECK(config.config.quant.layer.transform.rotate_out == RotateOut::kOff);
    CHECK(config.config.quant.row_rot_word == word);
    CHECK(NoteOf(config, "OPENPI_DUQUANT_ROW_ROT=").find("never restore") != std::string::npos);
  }
}

TEST_CASE("a pack folder is imported from if there is something to import") {
  const TempDir dir;
  const Environment environment = {{"OPENPI_DUQUANT_PACKDIR", dir.path()}};
  CHECK(LoadOk(environment).config.quant.npz_folder.empty());
  dir.Write("a.npz", "x");
  CHECK(LoadOk(environment).config.quant.npz_folder == dir.path());
  CHECK(LoadOk(environment).config.pack_cache.directory == dir.path());
}

TEST_CASE("0 and 32 bits are no quantization; 4-bit and float activations need engine fake") {
  const auto engine = [](const std::string& weight, const std::string& activation) {
    return LoadOk({{"OPENPI_DUQUANT_WBITS_DEFAULT", weight}, {"OPENPI_DUQUANT_ABITS", activation}})
        .config.quant.engine;
  };
  CHECK(engine("4", "8") == Engine::kInt);
  CHECK(engine("32", "32") == Engine::kTransformsOnly);
  CHECK(engine("0", "0") == Engine::kTransformsOnly);
  CHECK(engine("4", "4") == Engine::kFake);
  CHECK(engine("4", "0") == Engine::kFake);
  CHECK(engine("0", "8") == Engine::kLegacyExact);
}

TEST_CASE("W8A8 and BitBLAS have their equivalents") {
  const ResolvedConfig w8a8 = LoadOk({{"OPENPI_W8A8_ENABLE", "1"}});
  CHECK(w8a8.config.quant.preset == "w8a8");
  CHECK(w8a8.config.quant.engine == Engine::kInt);
  const ResolvedConfig w8fp16 =
      LoadOk({{"OPENPI_W8A8_ENABLE", "1"}, {"OPENPI_W8A8_ACTIVATION_DTYPE", "float16"}});
  CHECK(w8fp16.config.quant.engine == Engine::kFake);
  CHECK(w8fp16.config.quant.layer.activation.bits == 0);
  const ResolvedConfig bitblas =
      LoadOk({{"OPENPI_BITBLAS_ENABLE", "1"}, {"OPENPI_BITBLAS_WBITS", "8"}});
  CHECK(bitblas.config.quant.engine == Engine::kFake);
  CHECK(bitblas.config.quant.layer.weight.bits == 8);
  CHECK(bitblas.config.quant.select.include == ".*");
  CHECK(LoadOk({{"OPENPI_W8A8_ENABLE", "0"}}).config.quant.engine == Engine::kOff);
}
