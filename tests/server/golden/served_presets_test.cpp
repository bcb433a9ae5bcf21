// Every preset on the tiny policies, from the configuration to an answer over gRPC.
#include <chrono>
#include <cmath>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

#include "model/export/export.h"
#include "model/policy/runtime.h"
#include "server/cli/policy_loader.h"
#include "server/client/client.h"
#include "server/config/load.h"
#include "server/config/presets.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"
#include "tests/support/temp_dir.h"
#include "vlaserve/v1/policy.grpc.pb.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

namespace {

void RequireOk(const Status& status) {
  INFO(status.field() << ": " << status.message());
  REQUIRE(status.ok());
}

// Golden checkpoints by the name of the LIBERO policy that fits them.
std::vector<std::pair<std::string, std::string>> Policies() {
  std::vector<std::pair<std::string, std::string>> policies;
  const auto folders = PosixFileSystem().List(GoldenDir());
  REQUIRE(folders.ok());
  for (const std::string& folder : *folders) {
    if (!HasGolden(folder + "/cases.safetensors")) continue;
    const nlohmann::json cases = ReadGoldenJson(folder + "/cases.json");
    if (!cases.contains("model_type")) continue;
    policies.emplace_back(folder, cases["model_type"] == "pi0" ? "pi0_libero" : "pi05_libero");
  }
  return policies;
}

// An archive with a smoothing file for all its linears and a folder for packs.
struct Deployment {
  TempDir directory;
  std::string archive = directory.File("policy.pt");
  std::string smooth = directory.File("smooth.json");

  Deployment(const std::string& folder, const std::string& policy) {
    ExportOptions options;
    options.checkpoint = GoldenPath(folder);
    options.tokenizer = GoldenPath("tokenizer/tokenizer.model");
    auto settings = NamedPolicySettings(policy);
    REQUIRE(settings.ok());
    options.policy = *settings;
    options.out = archive;
    RequireOk(ExportPolicy(PosixFileSystem(), options, [](std::string_view) {}).status());
    auto opened = Archive::Open(PosixFileSystem(), archive);
    RequireOk(opened.status());
    nlohmann::json layers;
    for (const LinearInfo& linear : (*opened)->linears()) {
      for (int64_t i = 0; i < linear.in_features; ++i) {
        layers[linear.name].push_back(0.5 + static_cast<double>(i % 5) / 4);
      }
    }
    std::ofstream(smooth) << nlohmann::json{{"alpha", 0.5}, {"layers", layers}};
  }

  ServerConfig Config(const std::string& preset) const {
    ConfigSources sources;
    sources.assignments = {"policy.archive=" + archive, "quant.preset=" + preset,
                           "pack_cache.dir=" + directory.File("packs"),
                           "server.address=127.0.0.1:0"};
    if (preset == "smoothquant") {
      sources.assignments.push_back("quant.transform.smooth.file=" + smooth);
    }
    // The reference's own default scope matches nothing in openpi's models.
    if (preset == "openpi_duquant") {
      sources.assignments.push_back("quant.select.scope=paligemma_with_expert.gemma_expert.");
    }
    auto config = LoadConfig(PosixFileSystem(), sources);
    RequireOk(config.status());
    return config->config;
  }
};

InferCallRequest Request(const PolicySettings& settings) {
  InferCallRequest request;
  for (const Camera& camera : settings.cameras) {
    if (!camera.name) continue;
    RgbImage image{48, 64, std::vector<uint8_t>(size_t{48} * 64 * 3)};
    for (size_t i = 0; i < image.pixels.size(); ++i) {
      image.pixels[i] = static_cast<uint8_t>(i * 2654435761U >> 24U);
    }
    request.rgb_images[*camera.name] = std::move(image);
  }
  request.state.assign(static_cast<size_t>(settings.state_dim), 0.125);
  request.prompt = "pick up the bowl";
  request.seed = 11;
  return request;
}

struct Served {
  std::vector<double> actions;  // of two requests, one after the other
  v1::GetServerInfoResponse info;
  std::vector<std::string> lines;
};

Served Serve(const ServerConfig& config) {
  Served served;
  auto loader = PolicyLoader::Open(
      config, [&served](const std::string& line) { served.lines.push_back(line); });
  RequireOk(loader.status());
  const PolicySettings settings = (*loader)->archive().settings();
  ServerOptions options;
  options.address = config.address;
  auto server =
      Server::Start(options, (*loader)->Info(), [&loader = **loader] { return loader.Load(); });
  RequireOk(server.status());
  RequireOk((*server)->WaitUntilServing());
  const std::string address = "127.0.0.1:" + std::to_string((*server)->port());
  const auto client = Client::Create(address);
  RequireOk(client.status());
  for (int i = 0; i < 2; ++i) {
    const auto reply = (*client)->Infer(Request(settings), std::chrono::seconds(60));
    RequireOk(reply.status());
    if (reply->error) FAIL(reply->error->code << ": " << reply->error->message);
    served.actions.insert(served.actions.end(), reply->chunk.actions.begin(),
                          reply->chunk.actions.end());
  }
  const auto stub =
      v1::PolicyService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  REQUIRE(stub->GetServerInfo(&context, v1::GetServerInfoRequest(), &served.info).ok());
  (*server)->RequestStop();
  RequireOk((*server)->Wait());
  (*loader)->PrintProfile();
  return served;
}

bool HasLine(const Served& served, const std::string& text) {
  for (const std::string& line : served.lines) {
    if (line.find(text) != std::string::npos) return true;
  }
  return false;
}

void CheckInfo(const Served& served, const ServerConfig& config) {
  const v1::Quantization& info = served.info.quantization();
  CHECK(info.preset() == config.quant.preset);
  CHECK(info.linears() > 0);
  CHECK(info.resident_anonymous_bytes() > 0);
  if (config.quant.engine == Engine::kOff) {
    CHECK(info.engine() == "off");
    CHECK(info.quantized_linears() == 0);
    CHECK(info.weight_bytes_before() == 0);
    return;
  }
  CHECK(info.quantized_linears() > 0);
  CHECK(info.weight_bytes_before() > 0);
  CHECK(info.weight_bytes_after() > 0);
  uint32_t grouped = 0;
  for (const v1::Quantization::Group& group : info.groups()) {
    grouped += group.linears();
    CHECK(group.weight_bits() > 0);
  }
  CHECK(grouped == info.quantized_linears());
  CHECK(HasLine(served,
                "[DUQUANT] Total layers replaced: " + std::to_string(info.quantized_linears())));
  if (config.quant.profile) {
    CHECK(HasLine(served, "[DUQUANT][PROFILE]"));
    CHECK(HasLine(served, "[POLICY][PROFILE]"));
  }
}

}  // namespace

TEST_CASE("Every preset serves the golden policies, the same bytes twice and with 1 or 2 threads") {
  spdlog::set_level(spdlog::level::warn);
  size_t cases = 0;
  for (const auto& [folder, policy] : Policies()) {
    const Deployment deployment(folder, policy);
    std::vector<double> float_actions;
    for (const std::string& preset : PresetNames()) {
      INFO(folder << ", preset " << preset);
      const ServerConfig config = deployment.Config(preset);
      RequireOk(InitializeRuntime(1));
      const Served first = Serve(config);
      RequireOk(InitializeRuntime(2));
      const Served second = Serve(config);
      CHECK(first.actions == second.actions);
      const size_t half = first.actions.size() / 2;
      for (size_t i = 0; i < half; ++i) CHECK(first.actions[i] == first.actions[half + i]);
      CheckInfo(first, config);
      if (preset == "fp") float_actions = first.actions;
      ++cases;
    }
    REQUIRE(!float_actions.empty());
    CHECK(Serve(deployment.Config("best_w4a8")).actions != float_actions);
  }
  ReportGoldenCases("served presets", cases);
}
