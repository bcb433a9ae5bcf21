#include <iostream>
#include <memory>

#include "model/checkpoint/synth.h"
#include "server/cli/arguments.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"

namespace vlaserve {
namespace {

struct Arguments {
  std::string type;
  std::string size = "tiny";
  uint64_t seed = 0;
  std::string out;
};

int Run(const Arguments& arguments) {
  SynthOptions options;
  options.type = arguments.type == "pi05" ? PolicyType::kPi05 : PolicyType::kPi0;
  options.size = arguments.size == "full" ? SynthSize::kFull : SynthSize::kTiny;
  options.seed = arguments.seed;
  options.out = arguments.out;
  const Status status = SynthesizeCheckpoint(
      PosixFileSystem(), options, [](std::string_view line) { std::cerr << line << std::endl; });
  if (!status.ok()) return Fail("synth", status);
  std::cout << options.out << std::endl;
  return kExitOk;
}

}  // namespace

void AddSynthCommand(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "synth", "Write a random, well-conditioned checkpoint, to try everything without weights");
  command->group(kArchiveCommands);
  auto arguments = std::make_shared<Arguments>();
  command->add_option("type", arguments->type, "Type of the policy")
      ->required()
      ->check(CLI::IsMember({"pi0", "pi05"}));
  command->add_option("--size", arguments->size, "tiny, or full: the sizes of the released models")
      ->capture_default_str()
      ->check(CLI::IsMember({"tiny", "full"}));
  command->add_option("--seed", arguments->seed, "Seed of the random weights")
      ->capture_default_str()
      ->check(CheckSeed);
  command->add_option("--out", arguments->out, "Directory to write")->required()->check(CheckPath);
  command->callback([arguments, &action] { action = [arguments] { return Run(*arguments); }; });
}

}  // namespace vlaserve
