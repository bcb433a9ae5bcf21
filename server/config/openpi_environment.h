// The environment variables of openpi_duquant, its run scripts and its sister project, as an
// overlay on the configuration: whoever has such variables set gets what they ask for, as far as
// there is an equivalent, and is told what became of each of them.
//
// Names, defaults and parsing rules are openpi_duquant's (commit 4663338): integers as Python's
// int(), numbers as float(), flags off only for "0", "false" and "False", so that an empty flag is
// on. An empty text is a text.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/io/file_system.h"
#include "server/config/environment.h"

namespace vlaserve {

struct OpenpiSetting {
  std::string key;  // of an option
  nlohmann::json value;
  std::string variable;
  bool unchecked = false;    // entries that the option's check refuses may never be used
  bool legacy_only = false;  // a bad value matters to engine legacy_exact alone
};

struct OpenpiOverlay {
  // The preset that the variables start from if nobody names one: "openpi_duquant" (its own
  // defaults) or "w8a8"; empty: they change single settings only. And the variable that says so.
  std::string base_preset;
  std::string base_variable;
  std::vector<OpenpiSetting> settings;
  std::optional<std::string> row_rot_word;  // QuantConfig::row_rot_word
  bool profile_sync = true;                 // QuantConfig::profile_sync
  // One line for each variable found, sorted by name: "NAME=value: honoured: …", "mapped: …" or
  // "not applicable: …".
  std::vector<std::string> report;
};

// kInvalidArgument naming the variable, with Python's message, for a value that openpi_duquant
// refuses. `files`: to see whether a pack folder holds .npz packs.
Result<OpenpiOverlay> ReadOpenpiEnvironment(FileSystem& files, const Environment& environment);

}  // namespace vlaserve
