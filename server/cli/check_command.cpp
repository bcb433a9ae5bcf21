#include <iostream>
#include <memory>

#include <nlohmann/json.hpp>

#include "model/policy/check.h"
#include "model/policy/runtime.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "server/config/option.h"

namespace vlaserve {
namespace {

struct Arguments {
  std::string archive;
  CheckOptions check;
  // By option key of the configuration, the text given for it.
  std::vector<std::pair<std::string_view, std::string>> runtime = {
      {"runtime.compute_dtype", ""}, {"runtime.rope_inv_freq", ""}, {"runtime.time_steps", ""}};
  std::string savings = "all";
  bool json = false;
};

// The switches have the meaning and the values of the configuration's options.
Result<PolicyOptions> PolicyOptionsOf(const Arguments& arguments) {
  ServerConfig config;
  for (const auto& [key, text] : arguments.runtime) {
    if (text.empty()) continue;
    const Option& option = *FindOption(key);
    VLASERVE_ASSIGN_OR_RETURN(const nlohmann::json value, ParseValue(option, text));
    option.apply(value, config);
  }
  if (arguments.savings == "none") config.policy.savings = {false, false, false, false};
  return config.policy;
}

int Run(const Arguments& arguments) {
  const auto policy_options = PolicyOptionsOf(arguments);
  if (!policy_options.ok()) return Fail("check", policy_options.status());
  if (const Status status = InitializeRuntime(0); !status.ok()) return Fail("check", status);
  auto archive = Archive::Open(PosixFileSystem(), arguments.archive);
  if (!archive.ok()) return Fail("check", archive.status());
  const auto report =
      RunCheck(PosixFileSystem(), *std::move(archive), *policy_options, arguments.check);
  if (!report.ok()) {
    // The archive could be opened, so it is the golden folder that lacks something: no case ran.
    const int code = Fail("check", report.status());
    return code == kExitUnreadable ? int{kExitFailure} : code;
  }
  if (arguments.json) {
    std::cout << CheckReportJson(*report).dump(2) << std::endl;
  } else {
    std::cout << CheckReportText(*report) << std::flush;
  }
  return report->passed() ? kExitOk : kExitFailure;
}

}  // namespace

void AddCheckCommand(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "check", "Compare a policy archive with reference numbers; exit code 1 if they differ");
  command->group(kArchiveCommands);
  auto arguments = std::make_shared<Arguments>();
  command->add_option("--archive", arguments->archive, "The archive (policy.pt)")->required();
  command
      ->add_option("--golden", arguments->check.golden,
                   "Folder with cases.json and cases.safetensors, or lerobot_cases.*")
      ->required();
  command
      ->add_option("--reference", arguments->check.reference,
                   "Tensor to compare with, without the case's name")
      ->capture_default_str();
  command->add_option("--tolerance", arguments->check.tolerance,
                      "Largest absolute difference; default 1e-5, bfloat16 references 0.15");
  command->add_option("--mean-tolerance", arguments->check.mean_tolerance,
                      "Largest mean absolute difference; default 1e-5, bfloat16 references 0.03");
  for (auto& [key, text] : arguments->runtime) {
    std::string flag = "--" + std::string(key.substr(key.find('.') + 1));
    std::replace(flag.begin(), flag.end(), '_', '-');
    const Option& option = *FindOption(key);
    std::vector<std::string> values(option.values.begin(), option.values.end());
    command->add_option(flag, text, std::string(option.help))->check(CLI::IsMember(values));
  }
  command
      ->add_option("--savings", arguments->savings,
                   "Skip work that does not change the result: all, or none")
      ->capture_default_str()
      ->check(CLI::IsMember({"all", "none"}));
  command->add_flag("--json", arguments->json, "Print JSON");
  command->callback([arguments, &action] { action = [arguments] { return Run(*arguments); }; });
}

}  // namespace vlaserve
