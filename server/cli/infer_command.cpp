#include <algorithm>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <memory>

#include "server/cli/arguments.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "server/client/client.h"

namespace vlaserve {
namespace {

struct Arguments {
  std::optional<std::string> server;
  std::vector<std::string> images;
  std::string state;
  std::optional<std::string> prompt;
  std::optional<uint64_t> seed;
  std::optional<uint32_t> num_steps;
  std::string request;
  double timeout = 600;  // a full-size policy in float on an old CPU takes minutes
  bool json = false;
};

constexpr size_t kMaxFileBytes = size_t{64} << 20;

// A file that the user named wrongly is a matter of usage, not of a damaged archive.
Result<std::string> ReadInput(const std::string& path) {
  auto content = PosixFileSystem().Read(path, kMaxFileBytes);
  if (content.ok()) return content;
  return Status(StatusCode::kInvalidArgument, content.status().message());
}

Result<InferCallRequest> RequestOf(const Arguments& arguments) {
  InferCallRequest request;
  for (const std::string& image : arguments.images) {
    VLASERVE_ASSIGN_OR_RETURN(const auto named, ParseNamedFile(image));
    VLASERVE_ASSIGN_OR_RETURN(std::string bytes, ReadInput(named.second));
    if (!request.encoded_images.emplace(named.first, EncodedImage{std::move(bytes)}).second) {
      return Status(StatusCode::kInvalidArgument, "--image " + named.first + ": given twice");
    }
  }
  if (!arguments.state.empty()) {
    VLASERVE_ASSIGN_OR_RETURN(request.state, ParseNumberList(arguments.state));
  }
  request.prompt = arguments.prompt;
  request.seed = arguments.seed;
  request.num_steps = arguments.num_steps;
  return request;
}

Result<InferReply> Ask(const Arguments& arguments) {
  VLASERVE_ASSIGN_OR_RETURN(const std::string address,
                            ServerAddress(arguments.server, ProcessEnvironment()));
  VLASERVE_ASSIGN_OR_RETURN(const std::chrono::milliseconds timeout,
                            ParseTimeout(arguments.timeout));
  VLASERVE_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Create(address));
  if (arguments.request.empty()) {
    VLASERVE_ASSIGN_OR_RETURN(const InferCallRequest request, RequestOf(arguments));
    return client->Infer(request, timeout);
  }
  if (arguments.request == "-") {
    const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
    return client->InferJson(text, "standard input", timeout);
  }
  VLASERVE_ASSIGN_OR_RETURN(const std::string text, ReadInput(arguments.request));
  return client->InferJson(text, arguments.request, timeout);
}

void PrintChunk(const InferReply& reply) {
  const ActionChunk& chunk = reply.chunk;
  std::cout << chunk.horizon << " actions of " << chunk.action_dim << " numbers, seed "
            << chunk.seed << std::fixed << std::setprecision(1) << ", " << reply.total_ms
            << " ms (queue " << reply.queue_ms << ", preprocess " << chunk.timings.preprocess_ms
            << ", prefix " << chunk.timings.prefix_ms << ", denoise " << chunk.timings.denoise_ms
            << ", postprocess " << chunk.timings.postprocess_ms << ")\n"
            << std::setprecision(6);
  if (chunk.prompt_truncated) std::cout << "the prompt was too long and has been cut\n";
  for (int64_t row = 0; row < chunk.horizon; ++row) {
    for (int64_t column = 0; column < chunk.action_dim; ++column) {
      const auto index = static_cast<size_t>(row * chunk.action_dim + column);
      std::cout << std::setw(column == 0 ? 10 : 11) << chunk.actions[index];
    }
    std::cout << "\n";
  }
  std::cout << std::flush;
}

int Run(const Arguments& arguments) {
  const auto reply = Ask(arguments);
  if (!reply.ok()) return Fail("infer", reply.status());
  if (reply->error) {
    std::cerr << "vlaserve infer: " << reply->error->code << ": " << reply->error->message << "\n";
    for (const std::string& detail : reply->error->details) std::cerr << "  " << detail << "\n";
    return kExitFailure;
  }
  if (arguments.json) {
    std::cout << reply->json << std::flush;
  } else {
    PrintChunk(*reply);
  }
  return kExitOk;
}

}  // namespace

void AddInferCommand(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "infer", "Send one observation to a server and print the action chunk it answers with");
  command->group(kClientCommands);
  command->footer(
      "Exit code 1 when the server refuses or cannot be reached; the gRPC code's name is printed.");
  auto arguments = std::make_shared<Arguments>();
  // CLI11 takes an empty argument of a std::optional for an absent one.
  command->add_option_function<std::string>(
      "--server", [arguments](const std::string& address) { arguments->server = address; },
      "HOST:PORT; default: VLASERVE_SERVER_ADDRESS, else 127.0.0.1:50051");
  std::vector<CLI::Option*> parts = {
      command
          ->add_option("--image", arguments->images,
                       "NAME=FILE: a camera of the policy and its PNG or JPEG; may be repeated")
          ->allow_extra_args(false),
      command->add_option("--state", arguments->state, "The robot's state: 0.1,0.2,…"),
      command->add_option_function<std::string>(
          "--prompt", [arguments](const std::string& prompt) { arguments->prompt = prompt; },
          "What to do; default: the policy's default prompt"),
      command->add_option("--seed", arguments->seed, "Seed of the noise; default: drawn")
          ->check(CheckSeed),
      command
          ->add_option("--num-steps", arguments->num_steps, "Denoise steps; default: the server's")
          ->check(CLI::NonNegativeNumber),
  };
  for (CLI::Option* part : parts) part->group("Observation");
  CLI::Option* request = command->add_option(
      "--request", arguments->request,
      "FILE with an InferRequest in protobuf's JSON form, - for standard input");
  request->check(CheckPath);
  for (CLI::Option* part : parts) request->excludes(part);
  command->add_option("--timeout", arguments->timeout, "Seconds to wait for the answer")
      ->capture_default_str();
  command->add_flag("--json", arguments->json, "Print the InferResponse in protobuf's JSON form");
  command->callback([arguments, &action] { action = [arguments] { return Run(*arguments); }; });
}

}  // namespace vlaserve
