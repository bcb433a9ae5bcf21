// What the tests of the configuration share.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "server/config/load.h"
#include "tests/support/catch.h"

namespace vlaserve {

inline Result<ResolvedConfig> LoadFrom(const Environment& environment,
                                       const std::vector<std::string>& assignments = {}) {
  return LoadConfig(PosixFileSystem(), {.assignments = assignments, .environment = environment});
}

inline ResolvedConfig LoadOk(const Environment& environment,
                             const std::vector<std::string>& assignments = {}) {
  auto config = LoadFrom(environment, assignments);
  INFO(config.status().message());
  REQUIRE(config.ok());
  return *std::move(config);
}

inline const ResolvedOption& FindEntry(const ResolvedConfig& config, std::string_view key) {
  for (const ResolvedOption& entry : config.options) {
    if (entry.option->key == key) return entry;
  }
  FAIL("no option " << key);
  return config.options.front();
}

// The first note that begins so; empty if there is none.
inline std::string NoteOf(const ResolvedConfig& config, std::string_view begin) {
  for (const std::string& note : config.notes) {
    if (note.starts_with(begin)) return note;
  }
  return "";
}

}  // namespace vlaserve
