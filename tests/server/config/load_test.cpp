// Config file, environment, --set and defaults put together.
#include "server/config/load.h"

#include <cstdlib>
#include <map>
#include <set>
#include <string>

#include "tests/support/catch.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)
using Json = nlohmann::json;

namespace {

// Files in memory.
class FakeFileSystem : public FileSystem {
 public:
  std::map<std::string, std::string> files;

  Result<std::string> Read(const std::string& path, size_t max_bytes) override {
    const auto it = files.find(path);
    if (it == files.end()) return Status(StatusCode::kNotFound, path + ": no such file");
    if (it->second.size() > max_bytes) return Status(StatusCode::kUnreadable, path + ": too large");
    return it->second;
  }
  Result<std::shared_ptr<const MappedFile>> Map(const std::string&) override { return Unused(); }
  Result<std::unique_ptr<WritableFile>> CreateAtomically(const std::string&) override {
    return Unused();
  }
  Result<std::unique_ptr<ScratchFile>> CreateScratch(const std::string&) override {
    return Unused();
  }
  bool IsFile(const std::string& path) override { return files.count(path) == 1; }
  bool IsDirectory(const std::string&) override { return false; }
  Result<std::vector<std::string>> List(const std::string&) override { return Unused(); }
  Status CreateDirectories(const std::string&) override { return Unused(); }
  Status CreatePrivateDirectories(const std::string&) override { return Unused(); }
  Result<std::unique_ptr<WritableFile>> CreateEntry(const std::string&, uint64_t) override {
    return Unused();
  }
  Result<std::shared_ptr<const MappedFile>> MapEntry(const std::string&) override {
    return Unused();
  }
  Result<bool> RemoveUnused(const std::string&) override { return Unused(); }
  Status Remove(const std::string&) override { return Unused(); }
  Status Touch(const std::string&) override { return Unused(); }
  Result<FileInfo> Stat(const std::string&) override { return Unused(); }
  Result<std::unique_ptr<FileLock>> Lock(const std::string&, std::chrono::milliseconds) override {
    return Unused();
  }

 private:
  static Status Unused() { return {StatusCode::kInternal, "not part of this fake"}; }
};

Result<ResolvedConfig> LoadText(const std::string& text) {
  FakeFileSystem files;
  files.files["conf/c.json"] = text;
  return LoadConfig(files, {.file = "conf/c.json"});
}

std::string ErrorOf(const std::string& text) {
  const auto config = LoadText(text);
  REQUIRE(!config.ok());
  CHECK(config.status().code() == StatusCode::kInvalidArgument);
  return config.status().message();
}

const ResolvedOption& Find(const ResolvedConfig& config, std::string_view key) {
  for (const ResolvedOption& entry : config.options) {
    if (entry.option->key == key) return entry;
  }
  FAIL("no option " << key);
  return config.options.front();
}

// A config object with `value` at `key`.
Json Nested(std::string_view key, const Json& value) {
  Json root = Json::object();
  root[Json::json_pointer(JsonPointer(key))] = value;
  return root;
}

// Of the test "every option of a file …".
void CheckQuantOfTheText(const QuantConfig& quant) {
  CHECK(quant.preset == "best_w4a8");
  CHECK(quant.engine == Engine::kLegacyExact);
  CHECK(!quant.strict);
  CHECK(quant.compat_bugs.first_batch_calib);
  CHECK(quant.compat_bugs.inplace_weight);
  CHECK(!quant.compat_bugs.row_rot_none);
  const SelectSettings& select = quant.select;
  CHECK(select.scope == "s.");
  CHECK(select.include == "i");
  CHECK(select.exclude == "e");
  CHECK(!select.exclude_nothing);
  CHECK(select.layers == std::vector<std::string>{"l"});
  CHECK(select.groups == std::vector<std::string>{"projector"});
  CHECK(select.per_layer_wbits == std::map<std::string, int64_t>{{"w", 3}});
  CHECK(select.include_action_head);
  CHECK(!select.allow_unknown_names);
  const LayerSettings expected = {{8, 256, true, WeightRounding::kGrid5},
                                  {4, ActivationMode::kStaticTensor, 64, 98.5, 7},
                                  {SmoothMode::kFile, Permute::kActSnake, RotateIn::kDuquantGreedy,
                                   32, RotateOut::kPropagate, 16}};
  CHECK(quant.layer == expected);
  CHECK(quant.smooth_file == "/s.json");
  // The longer glob stands behind the shorter one.
  REQUIRE(quant.sites.size() == 2);
  CHECK(quant.sites[0].glob == "llm.*");
  CHECK(quant.sites[1].glob == "llm.*.down");
  LayerSettings changed = quant.layer;
  for (const SiteOverride& site : quant.sites) {
    for (const auto& change : site.changes) change(changed);
  }
  CHECK(changed.weight.bits == 6);
  CHECK(changed.activation.bits == 8);
  CHECK(changed.transform == expected.transform);
  CHECK(quant.calibration_file == "/c.bin");
  CHECK(quant.npz_folder == "/npz");
  CHECK(!quant.fold);
  CHECK(quant.fuse == std::set<Fusion>{Fusion::kNorm, Fusion::kResidual});
  CHECK(!quant.precache_weights);
  CHECK(quant.dry_run);
  CHECK(quant.debug);
  CHECK(quant.profile);
}

}  // namespace

TEST_CASE("without any source every option has its default") {
  FakeFileSystem files;
  const auto config = LoadConfig(files, {});
  REQUIRE(config.ok());
  CHECK(config->options.size() == Options().size());
  CHECK(config->config.archive.empty());
  CHECK(config->config.address == "127.0.0.1:50051");
  CHECK(config->config.policy.compute_dtype == ComputeDtype::kFloat32);
  CHECK(!config->config.policy.time_steps);
  CHECK(!config->config.policy.num_steps);
  CHECK(!config->config.policy.rope_inv_freq);
  CHECK(config->config.policy.savings.drop_masked);
  CHECK(config->config.reflection);
  CHECK(!config->config.insecure);
  CHECK(config->warnings.empty());
  CHECK(config->notes.empty());
  CHECK(config->config.quant.preset == "fp");
  CHECK(config->config.quant.engine == Engine::kOff);
  CHECK(config->config.quant.layer == LayerSettings{});
  CHECK(config->config.quant.fuse.size() == kAllFusions.size());
  CHECK(config->config.pack_cache.directory.empty());  // there is no HOME
  for (const ResolvedOption& entry : config->options) {
    INFO(entry.option->key);
    const bool of_preset = entry.option->key == "quant.engine";
    CHECK(entry.source == (of_preset ? ValueSource::kPreset : ValueSource::kDefault));
  }
}

TEST_CASE("every option of a file reaches its field of the config") {
  const auto config = LoadText(R"({
    "$schema": "schema.json",
    "policy": {"archive": "/a/policy.pt"},
    "server": {"address": "[::1]:7", "queue_capacity": 3, "drain_seconds": 1.5, "insecure": true,
               "reflection": false},
    "runtime": {"device": "cuda:1", "compute_dtype": "bfloat16", "threads": 5,
                "attention": "libtorch",
                "rope_inv_freq": "bf16_rounded", "time_steps": "lerobot", "num_steps": 4,
                "savings": {"drop_masked": false, "last_layer_kv_only": false,
                            "state_token_once": false, "step_table": false}},
    "quant": {"preset": "best_w4a8", "engine": "legacy_exact", "strict": false,
              "compat_bugs": ["first_batch_calib", "inplace_weight"],
              "select": {"scope": "s.", "include": "i", "exclude": "e", "layers": ["l"],
                         "groups": ["projector"], "per_layer_wbits": {"w": 3},
                         "include_action_head": true},
              "weight": {"bits": 8, "group": 256, "symmetric": true, "rounding": "grid5"},
              "act": {"bits": 4, "mode": "static_tensor", "group": 64, "percentile": 98.5,
                      "calib_batches": 7},
              "transform": {"smooth": {"mode": "file", "file": "/s.json"},
                            "fold": false, "permute": "act_snake", "rotate_in": "duquant_greedy", "block": 32,
                            "rotate_out": "propagate", "block_out": 16},
              "sites": {"llm.*.down": {"act.bits": 8}, "llm.*": {"weight.bits": 6}},
              "fuse": ["norm", "residual"],
              "calibration_file": "/c.bin", "precache_weights": false, "dry_run": true,
              "debug": true, "profile": true},
    "pack_cache": {"dir": "/packs", "mode": "ro", "on_mismatch": "error", "verify": "never",
                   "max_bytes": 1000000000000, "import_npz": "/npz"},
    "log": {"level": "debug"}})");
  REQUIRE(config.ok());
  const ServerConfig& c = config->config;
  CHECK(c.archive == "/a/policy.pt");
  CHECK(c.address == "[::1]:7");
  CHECK(c.queue_capacity == 3);
  CHECK(c.drain_seconds == 1.5);
  CHECK(c.insecure);
  CHECK(!c.reflection);
  CHECK(c.device == "cuda:1");
  CHECK(c.policy.compute_dtype == ComputeDtype::kBfloat16);
  CHECK(c.threads == 5);
  CHECK(!c.attention_kernel);
  CHECK(c.policy.rope_inv_freq == RopeInvFreq::kBf16Rounded);
  CHECK(c.policy.time_steps == TimeSteps::kLerobot);
  CHECK(c.policy.num_steps == 4);
  CHECK(!c.policy.savings.drop_masked);
  CHECK(!c.policy.savings.last_layer_kv_only);
  CHECK(!c.policy.savings.state_token_once);
  CHECK(!c.policy.savings.step_table);
  CheckQuantOfTheText(c.quant);
  CHECK(c.pack_cache.directory == "/packs");
  CHECK(c.pack_cache.mode == PackCacheOptions::Mode::kReadOnly);
  CHECK(c.pack_cache.on_mismatch == PackCacheOptions::OnMismatch::kError);
  CHECK(c.pack_cache.verify == PackCacheOptions::Verify::kNever);
  CHECK(c.pack_cache.max_bytes == 1'000'000'000'000u);
  CHECK(c.log_level == "debug");
  // The text above must grow with the table.
  for (const ResolvedOption& entry : config->options) {
    INFO(entry.option->key);
    CHECK(entry.source == ValueSource::kFile);
    CHECK(entry.origin == "conf/c.json");
  }
}

TEST_CASE("command line wins over environment, environment over file, file over default") {
  FakeFileSystem files;
  files.files["c.json"] =
      R"({"server": {"queue_capacity": 2, "drain_seconds": 2}, "log": {"level": "error"}})";
  ConfigSources sources{.file = "c.json"};
  sources.environment = {{"VLASERVE_SERVER_QUEUE_CAPACITY", "3"},
                         {"VLASERVE_SERVER_DRAIN_SECONDS", "3"},
                         {"VLASERVE_LOG_LEVEL", ""}};
  sources.assignments = {"server.queue_capacity=4", "server.queue_capacity=5"};
  const auto config = LoadConfig(files, sources);
  REQUIRE(config.ok());
  CHECK(config->config.queue_capacity == 5);
  CHECK(Find(*config, "server.queue_capacity").source == ValueSource::kCommandLine);
  CHECK(config->config.drain_seconds == 3);
  CHECK(Find(*config, "server.drain_seconds").source == ValueSource::kEnvironment);
  CHECK(Find(*config, "server.drain_seconds").origin == "VLASERVE_SERVER_DRAIN_SECONDS");
  CHECK(config->config.log_level == "error");
  CHECK(Find(*config, "log.level").source == ValueSource::kFile);
  CHECK(Find(*config, "server.address").source == ValueSource::kDefault);
}

TEST_CASE("a relative archive in a file starts at the file's folder, elsewhere where we are") {
  FakeFileSystem files;
  files.files["/etc/v/c.json"] = R"({"policy": {"archive": "p/policy.pt"}})";
  files.files["c.json"] = R"({"policy": {"archive": "p/policy.pt"}})";
  files.files["/c.json"] = R"({"policy": {"archive": "policy.pt"}})";
  CHECK(LoadConfig(files, {.file = "/etc/v/c.json"})->config.archive == "/etc/v/p/policy.pt");
  CHECK(LoadConfig(files, {.file = "c.json"})->config.archive == "p/policy.pt");
  CHECK(LoadConfig(files, {.file = "/c.json"})->config.archive == "/policy.pt");
  ConfigSources sources{.file = "/etc/v/c.json", .assignments = {"policy.archive=q.pt"}};
  CHECK(LoadConfig(files, sources)->config.archive == "q.pt");
  sources = {.environment = {{"VLASERVE_POLICY_ARCHIVE", "r.pt"}}};
  CHECK(LoadConfig(files, sources)->config.archive == "r.pt");
}

TEST_CASE("a wrong type at any key is an error naming file, pointer and expectation") {
  const Json wrong[] = {nullptr, Json::array(), Json::array({1}), Json::object(), true, 7,
                        -1e300,  "\x01"};
  int refused = 0;
  for (const Option& option : Options()) {
    for (const Json& value : wrong) {
      if (CheckValue(option, value).ok()) continue;
      INFO(option.key << " = " << value.dump());
      const std::string message = ErrorOf(Nested(option.key, value).dump());
      CHECK(message.rfind("conf/c.json: " + JsonPointer(option.key) + ": expected " +
                              Expectation(option) + ", found ",
                          0) == 0);
      ++refused;
    }
  }
  CHECK(refused > static_cast<int>(6 * Options().size()));
}

TEST_CASE("every key mutated is an unknown key, named by its pointer") {
  for (const Option& option : Options()) {
    for (const std::string& key :
         {std::string(option.key) + "x", std::string(option.key.substr(0, option.key.size() - 1)),
          std::string("x").append(option.key), std::string(option.key) + "_"}) {
      INFO(key);
      const std::string message = ErrorOf(Nested(key, 1).dump());
      CHECK(message.rfind("conf/c.json: /", 0) == 0);
      CHECK(message.find("unknown key; expected one of: ") != std::string::npos);
    }
  }
  CHECK(ErrorOf(R"({"server": {"adress": "a:1"}})") ==
        "conf/c.json: /server/adress: unknown key; expected one of: address, queue_capacity, "
        "drain_seconds, insecure, reflection");
  CHECK(ErrorOf(R"({"sever": {}})") ==
        "conf/c.json: /sever: unknown key; expected one of: policy, server, runtime, quant, "
        "pack_cache, log");
}

TEST_CASE("a dotted key in a file is unknown, not a path") {
  CHECK(ErrorOf(R"({"server.address": "a:1"})").find("unknown key") != std::string::npos);
  CHECK(ErrorOf(R"({"runtime": {"savings.step_table": true}})").find("unknown key") !=
        std::string::npos);
}

TEST_CASE("a section that is not an object is an error") {
  for (const std::string text : {"1", "null", "[]", "\"x\"", "true"}) {
    CHECK(ErrorOf("{\"server\": " + text + "}")
              .rfind("conf/c.json: /server: expected an object, found ", 0) == 0);
    CHECK(ErrorOf("{\"runtime\": {\"savings\": " + text + "}}")
              .rfind("conf/c.json: /runtime/savings: expected an object, found ", 0) == 0);
    CHECK(
        ErrorOf(text == "{}" ? "" : text).rfind("conf/c.json: expected a JSON object, found ", 0) ==
        0);
  }
  CHECK(ErrorOf(R"({"$schema": 1})") == "conf/c.json: /$schema: expected a string, found number");
  CHECK(ErrorOf(R"({"server": {"$schema": "x"}})").find("unknown key") != std::string::npos);
}

TEST_CASE("text that is not strict JSON is an error naming the file") {
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("{}x"), std::string("{} {}"),
        std::string("// comment\n{}"), std::string("{\"log\": {} /* c */}"), std::string("{,}"),
        std::string("{\"log\": {},}"), std::string("{'log': {}}"), std::string("\xEF\xBB\xBF{}"),
        std::string("{}\0", 3), std::string("{\"log\": {\"level\": \"\xFF\"}}"),
        std::string("{\"server\": {\"queue_capacity\": 010}}"), std::string(2 << 20, ' ')}) {
    const auto config = LoadText(text);
    INFO(text.substr(0, 40));
    REQUIRE(!config.ok());
    CHECK(config.status().code() == StatusCode::kInvalidArgument);
    CHECK(config.status().message().rfind("conf/c.json", 0) == 0);
  }
  CHECK(ErrorOf("\xEF\xBB\xBF{}").find("byte order mark") != std::string::npos);
}

TEST_CASE("a duplicate key is an error naming its pointer") {
  CHECK(ErrorOf(R"({"server": {"insecure": true, "insecure": false}})").find("/server/insecure") !=
        std::string::npos);
  CHECK(ErrorOf(R"({"log": {}, "log": {}})").find("/log") != std::string::npos);
}

TEST_CASE("a config file that is missing is an error of the configuration") {
  FakeFileSystem files;
  const auto config = LoadConfig(files, {.file = "none.json"});
  REQUIRE(!config.ok());
  CHECK(config.status().code() == StatusCode::kInvalidArgument);
  CHECK(config.status().message().find("none.json") != std::string::npos);
}

TEST_CASE("errors of variables and --set name the variable and the assignment") {
  FakeFileSystem files;
  struct Case {
    ConfigSources sources;
    std::string message;
  };
  const Case cases[] = {
      {{.environment = {{"VLASERVE_SERVER_INSECURE", "yes"}}},
       "environment variable VLASERVE_SERVER_INSECURE: expected true or false, found \"yes\""},
      {{.assignments = {"server.insecure=yes"}},
       "--set server.insecure: expected true or false, found \"yes\""},
      {{.assignments = {"server.insecure"}}, "--set server.insecure: expected key=value"},
      {{.assignments = {"=1"}}, "--set =1: expected key=value"},
      {{.assignments = {"server.nothing=1"}},
       "--set server.nothing: no such option; `vlaserve config table` lists them all"},
      {{.assignments = {"policy.archive="}},
       "--set policy.archive: expected a path, found string \"\""},
  };
  for (const Case& c : cases) {
    const auto config = LoadConfig(files, c.sources);
    REQUIRE(!config.ok());
    CHECK(config.status().code() == StatusCode::kInvalidArgument);
    CHECK(config.status().message() == c.message);
  }
}

TEST_CASE("a variable that looks like an option and is none is a warning") {
  FakeFileSystem files;
  const auto config =
      LoadConfig(files, {.environment = {{"VLASERVE_SERVER_ADRESS", "x"},
                                         {"VLASERVE_SERVER_PORT", "tcp://10.0.0.1:50051"},
                                         {"VLASERVE_GOLDEN_DIR", "x"},
                                         {"HOME", "/root"}}});
  REQUIRE(config.ok());
  REQUIRE(config->warnings.size() == 2);
  CHECK(config->warnings[0] ==
        "environment variable VLASERVE_SERVER_ADRESS names no option: ignored");
}

TEST_CASE("the process's environment is read whole") {
  REQUIRE(::setenv("VLASERVE_CONFIG_TEST", "a=b", 1) == 0);
  CHECK(ProcessEnvironment().at("VLASERVE_CONFIG_TEST") == "a=b");
  REQUIRE(::unsetenv("VLASERVE_CONFIG_TEST") == 0);
  CHECK(ProcessEnvironment().count("VLASERVE_CONFIG_TEST") == 0);
}
