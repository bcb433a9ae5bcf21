// Values of the command line that several subcommands share or that need more than a conversion.
// All errors are kInvalidArgument and say what was expected.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/io/file_system.h"
#include "model/io/status.h"
#include "model/settings/policy_settings.h"
#include "server/config/load.h"

namespace vlaserve {

// For CLI11's check(): what is wrong with the text of an option, empty if nothing is.
//
// A whole number from 0 to 2^64 - 1. (CLI11 2.1 takes the nearest for one that is out of range.)
std::string CheckSeed(const std::string& text);
// A path that is not empty: an empty one (--config "$UNSET") would count as not given.
std::string CheckPath(const std::string& text);

// "wrist_image=frame.png" → {"wrist_image", "frame.png"}.
Result<std::pair<std::string, std::string>> ParseNamedFile(std::string_view text);

// "0.1,-2,3e-4": numbers separated by commas; spaces around them are allowed. What is not finite
// ("nan", "inf") is passed on: the server is the one to judge.
Result<std::vector<double>> ParseNumberList(std::string_view text);

// --policy: the name of an embedded policy, or the path of a settings file (anything that ends with
// ".json" or has a slash). Errors also those of ParsePolicySettings.
Result<PolicySettings> ReadPolicyArgument(FileSystem& files, const std::string& argument);

// The address of a server to ask: `argument` if given, else server.address of the environment, else
// its default.
Result<std::string> ServerAddress(const std::optional<std::string>& argument,
                                  const Environment& environment);

// Seconds, from 1 ms to a day.
Result<std::chrono::milliseconds> ParseTimeout(double seconds);

}  // namespace vlaserve
