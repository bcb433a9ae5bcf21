#include <iostream>
#include <memory>

#include "server/cli/arguments.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "server/client/client.h"

namespace vlaserve {
namespace {

struct Arguments {
  std::optional<std::string> address;
  std::string service;
  double timeout = 1;
};

Result<ProbeResult> Probe(const Arguments& arguments) {
  VLASERVE_ASSIGN_OR_RETURN(const std::string address,
                            ServerAddress(arguments.address, ProcessEnvironment()));
  VLASERVE_ASSIGN_OR_RETURN(const std::chrono::milliseconds timeout,
                            ParseTimeout(arguments.timeout));
  VLASERVE_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Create(address));
  return client->CheckHealth(arguments.service, timeout);
}

int Run(const Arguments& arguments) {
  const auto result = Probe(arguments);
  if (!result.ok()) {
    Fail("health", result.status());
    return static_cast<int>(ProbeOutcome::kUsage);
  }
  const bool serving = result->outcome == ProbeOutcome::kServing;
  (serving ? std::cout : std::cerr) << result->message << std::endl;
  return static_cast<int>(result->outcome);
}

}  // namespace

void AddHealthCommand(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("health", "Ask a server whether it serves");
  command->group(kClientCommands);
  command->footer(
      "Exit codes of grpc_health_probe: 0 serving, 1 wrong arguments, 2 no connection, 3 the call "
      "failed or timed out, 4 not serving.");
  auto arguments = std::make_shared<Arguments>();
  // CLI11 takes an empty argument of a std::optional for an absent one.
  command->add_option_function<std::string>(
      "--server,--address",
      [arguments](const std::string& address) { arguments->address = address; },
      "HOST:PORT; default: VLASERVE_SERVER_ADDRESS, else 127.0.0.1:50051");
  command->add_option("--service", arguments->service,
                      "Service to ask about; default: the whole server");
  command->add_option("--timeout", arguments->timeout, "Seconds for the connection, and the call")
      ->capture_default_str();
  command->callback([arguments, &action] { action = [arguments] { return Run(*arguments); }; });
}

}  // namespace vlaserve
