#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "kernels/isa.h"
#include "quant/bench/kernel_bench.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "server/cli/json_output.h"
#include "server/cli/kernel_bench_report.h"

namespace vlaserve {
namespace {

constexpr const char* kCommand = "bench kernels";

struct Arguments {
  KernelBenchOptions options;
  std::vector<std::string> shapes;
  int64_t stream_mib = 256;
  double turn_ms = 20;
  bool json = false;
  bool markdown = false;
  bool step = false;
};

// With --step another program takes turns with our rounds: one line of JSON per event.
void PrintEvent(const nlohmann::json& event) { std::cout << event.dump() << std::endl; }

KernelBenchEvents Events(const Arguments& arguments) {
  KernelBenchEvents events;
  events.progress = [](const std::string& text) { std::cerr << text << std::endl; };
  if (!arguments.step) return events;
  events.case_ready = [](const BenchShape& shape, int64_t rows) {
    nlohmann::json event = {{"ready", shape.name}, {"rows", rows}};
    if (const auto* linear = std::get_if<LinearShape>(&shape.sizes)) {
      event["in_features"] = linear->in_features;
      event["out_features"] = linear->out_features;
    }
    PrintEvent(event);
  };
  events.before_round = [] {
    std::string line;
    return static_cast<bool>(std::getline(std::cin, line));
  };
  events.after_round = [](int round) { PrintEvent({{"round", round}}); };
  return events;
}

int Run(Arguments arguments) {
  const kernels::IsaChoice& isa = kernels::CurrentIsa();
  if (!isa.problem.empty()) {
    return Fail(kCommand, Status(StatusCode::kInvalidArgument, isa.problem));
  }
  auto shapes = ChooseShapes(arguments.shapes);
  if (!shapes.ok()) return Fail(kCommand, shapes.status());
  KernelBenchOptions& options = arguments.options;
  options.shapes = *std::move(shapes);
  options.stream_bytes = arguments.stream_mib << 20;
  options.turn_seconds = arguments.turn_ms * 1e-3;
  const auto report = BenchKernels(options, Events(arguments));
  if (!report.ok()) return Fail(kCommand, report.status());
  if (arguments.step) {
    PrintEvent(KernelBenchJson(*report));
  } else if (arguments.json) {
    std::cout << JsonText(KernelBenchJson(*report)) << std::endl;
  } else {
    std::cout << (arguments.markdown ? KernelBenchMarkdown(*report) : KernelBenchText(*report))
              << std::flush;
  }
  return kExitOk;
}

void AddKernels(CLI::App& bench, Action& action) {
  CLI::App* command = bench.add_subcommand(
      "kernels",
      "Measure the integer kernels against LibTorch, in turns, on the shapes of pi0 and pi0.5. "
      "VLASERVE_ISA chooses the instruction set.");
  auto arguments = std::make_shared<Arguments>();
  KernelBenchOptions& options = arguments->options;
  options.rows = {1, 10, 51, 532, 816};
  options.contender_seconds = 10;
  command->add_option("--threads", options.threads, "Threads; 0: LibTorch's choice")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command->add_option("--rounds", options.rounds, "Turns that every contender gets")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command
      ->add_option("--shapes", arguments->shapes,
                   "Shapes, or parts of them (llm, expert, vision), or KxN for a linear of that "
                   "size; default: all")
      ->delimiter(',');
  command->add_option("--rows", options.rows, "Rows of linears and MLPs")
      ->delimiter(',')
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command
      ->add_option("--contenders", options.contenders,
                   "Contenders, or beginnings of their names; default: all")
      ->delimiter(',');
  command
      ->add_option("--stream-mib", arguments->stream_mib,
                   "Size of all copies of a weight together: more than the caches hold. 0: one "
                   "copy")
      ->check(CLI::Range(0, 65536))
      ->capture_default_str();
  command->add_option("--turn-ms", arguments->turn_ms, "Length of a turn, at least one call")
      ->check(CLI::Range(0.0, 60000.0))
      ->capture_default_str();
  command
      ->add_option("--contender-seconds", options.contender_seconds,
                   "Time that a contender may use in a case; one whose single call would take "
                   "longer is left out")
      ->check(CLI::Range(0.001, 86400.0))
      ->capture_default_str();
  CLI::Option* json = command->add_flag("--json", arguments->json, "Print JSON");
  CLI::Option* markdown =
      command->add_flag("--markdown", arguments->markdown, "Print the tables of the README");
  CLI::Option* step = command->add_flag(
      "--step", arguments->step,
      "Wait for a line on standard input before every round, and print a line of JSON when a case "
      "is ready, after every round, and at the end: for taking turns with another program");
  markdown->excludes(json);
  step->excludes(json)->excludes(markdown);
  command->callback([arguments, &action] { action = [arguments] { return Run(*arguments); }; });
}

}  // namespace

void AddBenchCommand(CLI::App& app, Action& action) {
  CLI::App* bench = app.add_subcommand("bench", "Measure speed");
  bench->group(kQuantizationCommands)->require_subcommand(1);
  AddKernels(*bench, action);
}

}  // namespace vlaserve
