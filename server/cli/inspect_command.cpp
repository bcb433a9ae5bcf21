#include <iostream>
#include <memory>

#include <nlohmann/json.hpp>

#include "model/archive/archive.h"
#include "model/archive/inspect.h"
#include "model/policy/runtime.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"

namespace vlaserve {
namespace {

struct Arguments {
  std::string archive;
  bool verify = false;
  bool json = false;
};

void PrintVerdict(const std::vector<std::string>& damaged) {
  for (const std::string& tensor : damaged) std::cout << "damaged: " << tensor << "\n";
  std::cout << "verify: "
            << (damaged.empty() ? "every tensor agrees with digests.json"
                                : std::to_string(damaged.size()) + " tensors do not agree")
            << std::endl;
}

int Run(const Arguments& arguments) {
  if (const Status status = InitializeRuntime(0); !status.ok()) return Fail("inspect", status);
  auto archive = Archive::Open(PosixFileSystem(), arguments.archive);
  if (!archive.ok()) return Fail("inspect", archive.status());
  std::optional<std::vector<std::string>> damaged;
  if (arguments.verify) damaged = (*archive)->Verify();
  if (arguments.json) {
    auto report = InspectJson(**archive);
    if (damaged) report["verify"] = {{"ok", damaged->empty()}, {"damaged", *damaged}};
    // A file's name need not be UTF-8.
    std::cout << report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
  } else {
    std::cout << InspectText(**archive);
    if (damaged) PrintVerdict(*damaged);
  }
  return damaged && !damaged->empty() ? kExitFailure : kExitOk;
}

}  // namespace

void AddInspectCommand(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "inspect", "Show what is in a policy archive: settings, methods, linears, sizes");
  command->group(kArchiveCommands);
  auto arguments = std::make_shared<Arguments>();
  command->add_option("archive", arguments->archive, "The archive (policy.pt)")->required();
  command->add_flag("--verify", arguments->verify,
                    "Check every weight against its digest; exit code 1 if one differs");
  command->add_flag("--json", arguments->json, "Print JSON");
  command->callback([arguments, &action] { action = [arguments] { return Run(*arguments); }; });
}

}  // namespace vlaserve
