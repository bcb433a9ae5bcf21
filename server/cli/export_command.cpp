#include <iostream>
#include <memory>

#include "model/archive/archive.h"
#include "model/export/export.h"
#include "model/policy/runtime.h"
#include "server/cli/arguments.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"

namespace vlaserve {
namespace {

struct Arguments {
  std::string checkpoint;
  std::string from;
  std::string out;
  std::string policy;
  std::string tokenizer;
  std::string norm_stats;
  std::string dtype = "as_stored";
};

Result<std::optional<PolicySettings>> PolicyOf(const Arguments& arguments) {
  if (arguments.policy.empty()) return std::optional<PolicySettings>();
  VLASERVE_ASSIGN_OR_RETURN(PolicySettings settings,
                            ReadPolicyArgument(PosixFileSystem(), arguments.policy));
  return std::optional<PolicySettings>(std::move(settings));
}

Status ExportCheckpoint(const Arguments& arguments) {
  ExportOptions options;
  options.checkpoint = arguments.checkpoint;
  options.out = arguments.out;
  VLASERVE_ASSIGN_OR_RETURN(options.policy, PolicyOf(arguments));
  options.tokenizer = arguments.tokenizer;
  options.norm_stats = arguments.norm_stats;
  if (arguments.dtype == "float32") options.dtype = StoredDtype::kFloat32;
  if (arguments.dtype == "bfloat16") options.dtype = StoredDtype::kBfloat16;
  VLASERVE_ASSIGN_OR_RETURN(const ExportSummary summary,
                            ExportPolicy(PosixFileSystem(), options, [](std::string_view line) {
                              std::cerr << line << std::endl;
                            }));
  std::cout << arguments.out << ": " << PolicyTypeName(summary.type) << ", " << summary.tensors
            << " tensors, " << summary.elements << " weights, " << summary.bytes
            << " bytes, archive_sha256 " << summary.archive_sha256 << std::endl;
  return Status::Ok();
}

Status CopyArchive(const Arguments& arguments) {
  if (arguments.policy.empty() && arguments.norm_stats.empty()) {
    return {StatusCode::kInvalidArgument,
            "--from needs --policy or --norm-stats: what is to be replaced"};
  }
  VLASERVE_ASSIGN_OR_RETURN(const std::optional<PolicySettings> settings, PolicyOf(arguments));
  std::optional<NormStats> norm_stats;
  if (!arguments.norm_stats.empty()) {
    constexpr size_t kMaxBytes = size_t{16} << 20;
    VLASERVE_ASSIGN_OR_RETURN(const std::string text,
                              PosixFileSystem().Read(arguments.norm_stats, kMaxBytes));
    VLASERVE_ASSIGN_OR_RETURN(norm_stats, ParseNormStats(text, arguments.norm_stats));
  }
  VLASERVE_RETURN_IF_ERROR(
      ReplaceSettings(PosixFileSystem(), arguments.from, arguments.out, settings, norm_stats));
  std::cout << arguments.out << ": written" << std::endl;
  return Status::Ok();
}

int Run(const Arguments& arguments) {
  Status status = InitializeRuntime(0);
  if (status.ok()) {
    status = arguments.from.empty() ? ExportCheckpoint(arguments) : CopyArchive(arguments);
  }
  return status.ok() ? int{kExitOk} : Fail("export", status);
}

}  // namespace

void AddExportCommand(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "export", "Make a policy archive of a checkpoint, or of an archive with other settings");
  command->group(kArchiveCommands);
  auto arguments = std::make_shared<Arguments>();
  CLI::Option_group* source = command->add_option_group("Source, one of");
  source->require_option(1);
  CLI::Option* checkpoint = source->add_option(
      "--checkpoint", arguments->checkpoint,
      "Checkpoint directory: openpi's PyTorch layout or LeRobot's, in safetensors");
  CLI::Option* from = source->add_option(
      "--from", arguments->from,
      "Archive to copy with the settings of --policy and/or --norm-stats; its weights stay");
  CLI::Option* out =
      command->add_option("--out", arguments->out, "Archive to write; appears only when complete");
  out->required();
  CLI::Option* policy =
      command->add_option("--policy", arguments->policy,
                          "Name of a known policy or path of a settings file (FILE.json); default: "
                          "what the checkpoint says");
  CLI::Option* norm_stats = command->add_option(
      "--norm-stats", arguments->norm_stats, "norm_stats.json; default: found in the checkpoint");
  CLI::Option* tokenizer = command->add_option("--tokenizer", arguments->tokenizer,
                                               "tokenizer.model; default: found in the checkpoint");
  tokenizer->excludes(from);
  command->add_option("--dtype", arguments->dtype, "Type of the stored weights")
      ->capture_default_str()
      ->check(CLI::IsMember({"as_stored", "float32", "bfloat16"}))
      ->excludes(from);
  for (CLI::Option* path : {checkpoint, from, out, policy, norm_stats, tokenizer}) {
    path->check(CheckPath);
  }
  command->callback([arguments, &action] { action = [arguments] { return Run(*arguments); }; });
}

}  // namespace vlaserve
