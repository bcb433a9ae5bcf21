#include <algorithm>
#include <iostream>
#include <memory>
#include <span>

#include <nlohmann/json.hpp>

#include "model/policy/check.h"
#include "model/policy/runtime.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "server/cli/quant_checks.h"
#include "server/config/option.h"

namespace vlaserve {
namespace {

struct Arguments {
  QuantCheckArguments shared;  // with the checks of quantization
  CheckOptions check;
  std::optional<double> tolerance;
  // By option key of the configuration, the text given for it.
  std::vector<std::pair<std::string_view, std::string>> runtime = {
      {"runtime.compute_dtype", ""}, {"runtime.rope_inv_freq", ""}, {"runtime.time_steps", ""}};
  std::string savings = "all";

  bool equivalence = false;
  bool quant_report = false;
  std::string quant_golden;  // folder; empty: not asked for
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

int RunGolden(const Arguments& arguments) {
  const auto policy_options = PolicyOptionsOf(arguments);
  if (!policy_options.ok()) return Fail("check", policy_options.status());
  if (const Status status = InitializeRuntime(0); !status.ok()) return Fail("check", status);
  auto archive = Archive::Open(PosixFileSystem(), arguments.shared.archive);
  if (!archive.ok()) return Fail("check", archive.status());
  const auto policy = TorchPolicy::Create(*std::move(archive), *policy_options);
  if (!policy.ok()) return Fail("check", policy.status());
  CheckOptions options = arguments.check;
  options.golden = arguments.shared.observations.golden;
  options.tolerance = arguments.tolerance;
  const auto report = RunCheck(PosixFileSystem(), **policy, options);
  if (!report.ok()) {
    // The policy is ready, so it is the golden folder that lacks something: no case ran.
    const int code = Fail("check", report.status());
    return code == kExitUnreadable ? int{kExitFailure} : code;
  }
  if (arguments.shared.json) {
    // A folder's name need not be UTF-8.
    std::cout << CheckReportJson(*report).dump(2, ' ', false,
                                               nlohmann::json::error_handler_t::replace)
              << std::endl;
  } else {
    std::cout << CheckReportText(*report) << std::flush;
  }
  return report->passed() ? kExitOk : kExitFailure;
}

// What `check` does, and the options that mean something then.
struct Mode {
  std::string_view name;  // in messages
  std::vector<std::string_view> needed;
  std::vector<std::string_view> others;
};

Mode ModeOf(const Arguments& arguments) {
  if (!arguments.quant_golden.empty()) return {"--quant-golden", {}, {"--quant-golden"}};
  if (!arguments.equivalence && !arguments.quant_report) {
    return {"the comparison with golden data",
            {"--archive", "--golden"},
            {"--reference", "--tolerance", "--mean-tolerance", "--compute-dtype", "--rope-inv-freq",
             "--time-steps", "--savings"}};
  }
  Mode mode{"--equivalence", {"--archive"}, {"--equivalence", "--tolerance"}};
  if (arguments.quant_report) {
    mode = {"--quant-report", {"--archive"}, {"--quant-report", "--out", "--top"}};
  }
  mode.others.insert(mode.others.end(),
                     {"--golden", "--observations", "--request", "--num-steps", "--config", "--set",
                      "--preset", "--compute-dtype", "--rope-inv-freq", "--time-steps"});
  return mode;
}

bool Contains(const std::vector<std::string_view>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// An option that would do nothing is a mistake.
Status CheckUsage(const CLI::App& command, const Mode& mode) {
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option->get_name();
    const bool known =
        Contains(mode.needed, name) || Contains(mode.others, name) || name == "--json";
    if (option->count() > 0 && !known) {
      return {StatusCode::kInvalidArgument, name + " has no meaning for " + std::string(mode.name)};
    }
    if (option->count() == 0 && Contains(mode.needed, name)) {
      return {StatusCode::kInvalidArgument, name + " is required"};
    }
  }
  return Status::Ok();
}

int Run(const CLI::App& command, const Arguments& arguments) {
  const Status usage = CheckUsage(command, ModeOf(arguments));
  if (!usage.ok()) return Fail("check", usage);
  if (!arguments.quant_golden.empty()) {
    return RunQuantGolden(arguments.quant_golden, arguments.shared.json);
  }
  if (!arguments.equivalence && !arguments.quant_report) return RunGolden(arguments);
  QuantCheckArguments shared = arguments.shared;
  if (arguments.tolerance) shared.tolerance = *arguments.tolerance;
  for (const auto& [key, text] : arguments.runtime) {
    if (!text.empty()) shared.runtime.push_back(std::string(key) + "=" + text);
  }
  return arguments.equivalence ? RunEquivalence(shared) : RunQuantReport(shared);
}

void AddRuntimeOptions(CLI::App& command, Arguments& arguments) {
  for (auto& [key, text] : arguments.runtime) {
    std::string flag = "--" + std::string(key.substr(key.find('.') + 1));
    std::replace(flag.begin(), flag.end(), '_', '-');
    const Option& option = *FindOption(key);
    std::vector<std::string> values(option.values.begin(), option.values.end());
    command.add_option(flag, text, std::string(option.help))->check(CLI::IsMember(values));
  }
}

void AddQuantizationOptions(CLI::App& command, Arguments& arguments) {
  constexpr const char* kGroup = "Quantization";
  std::vector<CLI::Option*> modes = {
      command.add_flag("--equivalence", arguments.equivalence,
                       "Compare transforms without quantization with float, on --golden or "
                       "--request"),
      command.add_flag("--quant-report", arguments.quant_report,
                       "Compare the configured quantization with float, layer by layer and chunk "
                       "by chunk, on --golden, --observations or --request"),
      command.add_option("--quant-golden", arguments.quant_golden,
                         "Compare the quantizer with golden data: a folder with int_oracle, "
                         "legacy, selection or logs, or one of them"),
  };
  for (CLI::Option* mode : modes) {
    mode->group(kGroup);
    for (CLI::Option* other : modes) {
      if (other != mode) mode->excludes(other);
    }
  }
  command.add_option("--out", arguments.shared.out, "File for the whole report (JSON)")
      ->group(kGroup);
  command
      .add_option("--top", arguments.shared.top,
                  "Layers in the printed report, the worst first; 0: all")
      ->capture_default_str()
      ->group(kGroup);
}

}  // namespace

void AddCheckCommand(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "check", "Compare a policy archive with reference numbers; exit code 1 if they differ");
  command->group(kArchiveCommands);
  auto arguments = std::make_shared<Arguments>();
  command->add_option("--archive", arguments->shared.archive, "The archive (policy.pt)");
  arguments->shared.observations.AddTo(
      *command, "Folder with cases.json and cases.safetensors, or lerobot_cases.*");
  command
      ->add_option("--reference", arguments->check.reference,
                   "Tensor to compare with, without the case's name")
      ->capture_default_str();
  command->add_option("--tolerance", arguments->tolerance,
                      "Largest absolute difference; default 1e-5, bfloat16 references 0.15, "
                      "--equivalence 1e-4");
  command->add_option("--mean-tolerance", arguments->check.mean_tolerance,
                      "Largest mean absolute difference; default 1e-5, bfloat16 references 0.03");
  AddRuntimeOptions(*command, *arguments);
  command
      ->add_option("--savings", arguments->savings,
                   "Skip work that does not change the result: all, or none")
      ->capture_default_str()
      ->check(CLI::IsMember({"all", "none"}));
  AddQuantizationOptions(*command, *arguments);
  arguments->shared.config.AddTo(*command);
  arguments->shared.config.AddPresetTo(*command);
  command->add_flag("--json", arguments->shared.json, "Print JSON");
  command->callback([arguments, command, &action] {
    action = [arguments, command] { return Run(*command, *arguments); };
  });
}

}  // namespace vlaserve
