// `vlaserve check` as a command: which exit code stands for what.

#include <optional>
#include <string>

#include <CLI/App.hpp>

#include "model/export/export.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "tests/model/archive/zip_files.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {

TEST_CASE(
    "check: an archive with a damaged tokenizer is unreadable, a folder without cases fails") {
  const std::string demo = std::string(VLASERVE_SOURCE_DIR) + "/configs/demo_policy";
  const TempDir dir;
  ExportOptions options;
  options.checkpoint = demo;
  options.out = dir.File("policy.pt");
  REQUIRE(ExportPolicy(PosixFileSystem(), options, [](std::string_view) {}).ok());
  dir.Write("damaged.pt", ChangeRecords(options.out, {{"extra/tokenizer.model", "damaged"}}));

  const auto check = [&](const std::string& archive, const std::string& golden) {
    CLI::App app;
    Action action;
    AddCheckCommand(app, action);
    app.parse("check --archive " + archive + " --golden " + golden);
    return action();
  };
  CHECK(check(dir.File("damaged.pt"), demo) == kExitUnreadable);
  CHECK(check(options.out, dir.path()) == kExitFailure);
}

}  // namespace vlaserve
