#include "server/cli/quant_checks.h"

#include <iostream>
#include <memory>
#include <utility>

#include <nlohmann/json.hpp>

#include "model/policy/runtime.h"
#include "quant/report/equivalence.h"
#include "quant/report/quant_report.h"
#include "quant/report/report_text.h"
#include "server/cli/exit_code.h"
#include "server/cli/json_output.h"
#include "server/cli/logging.h"
#include "server/cli/quantization.h"

namespace vlaserve {
namespace {

// What both checks work with.
struct Setup {
  ServerConfig config;
  std::vector<NamedInput> inputs;
  std::unique_ptr<PackCache> cache;
};

// `more`: assignments that the check itself makes.
Result<Setup> SetUp(const QuantCheckArguments& arguments, std::vector<std::string> more) {
  FileSystem& files = PosixFileSystem();
  more.insert(more.end(), arguments.runtime.begin(), arguments.runtime.end());
  VLASERVE_ASSIGN_OR_RETURN(ResolvedConfig resolved, arguments.config.Load(more));
  SetUpLogging(resolved.config.log_level);
  for (const std::string& note : resolved.notes) std::cerr << note << "\n";
  for (const std::string& warning : resolved.warnings) std::cerr << "warning: " << warning << "\n";
  Setup setup;
  setup.config = std::move(resolved.config);
  VLASERVE_RETURN_IF_ERROR(InitializeRuntime(static_cast<int>(setup.config.threads)));
  VLASERVE_ASSIGN_OR_RETURN(const std::unique_ptr<Archive> archive,
                            Archive::Open(files, arguments.archive));
  Result<std::vector<NamedInput>> inputs =
      arguments.observations.Read(files, *archive, setup.config.policy);
  if (!inputs.ok()) {
    // The archive could be opened, so it is the golden folder that lacks something: nothing ran.
    const Status& status = inputs.status();
    const bool unreadable = ExitCodeFor(status) == kExitUnreadable;
    return unreadable ? Status(StatusCode::kInternal, status.message()) : status;
  }
  setup.inputs = *std::move(inputs);
  VLASERVE_ASSIGN_OR_RETURN(setup.cache, OpenPackCache(setup.config));
  return setup;
}

QuantizeInputs QuantizeInputsOf(const Setup& setup) {
  QuantizeInputs inputs;
  inputs.config = &setup.config.quant;
  inputs.cache = setup.cache.get();
  return inputs;
}

ArchiveOpener OpenerOf(const QuantCheckArguments& arguments) {
  return [path = arguments.archive] { return Archive::Open(PosixFileSystem(), path); };
}

// Why 32 bits, with which openpi_duquant's users looked for equivalence, are not what they say.
std::optional<std::string> RecipeNote(const LayerSettings& settings) {
  constexpr int64_t kOff = 16;
  if (settings.weight.bits < kOff && settings.activation.bits < kOff) return std::nullopt;
  return "W" + std::to_string(settings.weight.bits) + " A" +
         std::to_string(settings.activation.bits) +
         " is taken as W0 A0, not quantized: openpi_duquant's 32 bits mean scale 1, which rounds "
         "weights to integers, mostly 0";
}

Result<EquivalenceReport> Equivalence(const QuantCheckArguments& arguments) {
  VLASERVE_ASSIGN_OR_RETURN(
      Setup setup, SetUp(arguments, {"quant.engine=transforms_only", "quant.compat_bugs=[]"}));
  const std::optional<std::string> note = RecipeNote(setup.config.quant.layer);
  setup.config.quant = TransformsOnly(setup.config.quant);
  VLASERVE_ASSIGN_OR_RETURN(
      EquivalenceReport report,
      CheckEquivalence(OpenerOf(arguments), setup.config.policy, QuantizeInputsOf(setup),
                       setup.inputs, arguments.tolerance));
  if (note) report.summary.notes.insert(report.summary.notes.begin(), *note);
  return report;
}

Result<QuantReport> Report(const QuantCheckArguments& arguments) {
  VLASERVE_ASSIGN_OR_RETURN(Setup setup, SetUp(arguments, {"quant.dry_run=false"}));
  VLASERVE_ASSIGN_OR_RETURN(QuantReport report,
                            MakeQuantReport(OpenerOf(arguments), setup.config.policy,
                                            QuantizeInputsOf(setup), setup.inputs));
  if (!arguments.out.empty()) {
    VLASERVE_RETURN_IF_ERROR(WriteFileAtomically(PosixFileSystem(), arguments.out,
                                                 JsonText(QuantReportJson(report)) + "\n"));
  }
  return report;
}

}  // namespace

int RunEquivalence(const QuantCheckArguments& arguments) {
  const auto report = Equivalence(arguments);
  if (!report.ok()) return Fail("check", report.status());
  if (arguments.json) {
    std::cout << JsonText(EquivalenceJson(*report)) << std::endl;
  } else {
    std::cout << EquivalenceText(*report) << std::flush;
  }
  return report->passed() ? kExitOk : kExitFailure;
}

int RunQuantReport(const QuantCheckArguments& arguments) {
  const auto report = Report(arguments);
  if (!report.ok()) return Fail("check", report.status());
  if (arguments.json) {
    std::cout << JsonText(QuantReportJson(*report)) << std::endl;
  } else {
    std::cout << QuantReportText(*report, arguments.top) << std::flush;
  }
  return kExitOk;
}

}  // namespace vlaserve
