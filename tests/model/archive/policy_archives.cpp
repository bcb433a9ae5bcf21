#include "tests/model/archive/policy_archives.h"

#include <map>

#include "model/checkpoint/synth.h"
#include "model/export/export.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {

const std::string& TinyArchive(PolicyType type) {
  static const TempDir dir;
  static std::map<PolicyType, std::string> paths;
  std::string& path = paths[type];
  if (path.empty()) {
    const auto silent = [](std::string_view) {};
    SynthOptions synth;
    synth.type = type;
    synth.out = dir.File(PolicyTypeName(type));
    const Status made = SynthesizeCheckpoint(PosixFileSystem(), synth, silent);
    INFO(made.message());
    REQUIRE(made.ok());
    ExportOptions options;
    options.checkpoint = synth.out;
    options.out = dir.File(std::string(PolicyTypeName(type)) + ".pt");
    const auto exported = ExportPolicy(PosixFileSystem(), options, silent);
    INFO(exported.status().message());
    REQUIRE(exported.ok());
    path = options.out;
  }
  return path;
}

}  // namespace vlaserve
