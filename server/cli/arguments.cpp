#include "server/cli/arguments.h"

#include <charconv>
#include <cmath>

namespace vlaserve {
namespace {

Status Invalid(const std::string& message) { return {StatusCode::kInvalidArgument, message}; }

std::string_view WithoutSpaces(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::string CheckSeed(const std::string& text) {
  uint64_t seed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (error == std::errc{} && end == text.data() + text.size()) return "";
  return "expected a whole number from 0 to 18446744073709551615, found \"" + text + "\"";
}

std::string CheckPath(const std::string& text) {
  return text.empty() ? "expected a path, found an empty argument" : "";
}

Result<std::pair<std::string, std::string>> ParseNamedFile(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0 || equals + 1 == text.size()) {
    return Invalid("--image " + std::string(text) + ": expected NAME=FILE");
  }
  return std::pair(std::string(text.substr(0, equals)), std::string(text.substr(equals + 1)));
}

Result<std::vector<double>> ParseNumberList(std::string_view text) {
  std::vector<double> numbers;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    const std::string_view item = WithoutSpaces(text.substr(begin, comma - begin));
    double number = 0;
    const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), number);
    if (error != std::errc{} || end != item.data() + item.size()) {
      return Invalid("--state: expected numbers separated by commas, found \"" + std::string(item) +
                     "\" at position " + std::to_string(numbers.size()));
    }
    numbers.push_back(number);
    begin = comma + 1;
  }
  return numbers;
}

Result<PolicySettings> ReadPolicyArgument(FileSystem& files, const std::string& argument) {
  if (!argument.ends_with(".json") && argument.find('/') == std::string::npos) {
    return NamedPolicySettings(argument);
  }
  constexpr size_t kMaxBytes = size_t{1} << 20;
  auto text = files.Read(argument, kMaxBytes);
  if (!text.ok()) return Invalid("--policy: " + text.status().message());
  return ParsePolicySettings(*text, argument);
}

Result<std::string> ServerAddress(const std::optional<std::string>& argument,
                                  const Environment& environment) {
  const Option& option = *FindOption("server.address");
  const std::string variable = EnvironmentName(option.key);
  const auto from_environment = environment.find(variable);
  std::string origin = "address";
  std::string text = option.default_value.get<std::string>();
  if (argument) {
    text = *argument;
  } else if (from_environment != environment.end() && !from_environment->second.empty()) {
    origin = "environment variable " + variable;
    text = from_environment->second;
  }
  const auto value = ParseValue(option, text);
  if (!value.ok()) return Invalid(origin + ": " + value.status().message());
  return value->get<std::string>();
}

Result<std::chrono::milliseconds> ParseTimeout(double seconds) {
  constexpr double kDay = 86'400;
  if (!(seconds >= 0.001 && seconds <= kDay)) {
    return Invalid("--timeout: expected seconds from 0.001 to 86400");
  }
  return std::chrono::milliseconds(std::llround(seconds * 1000));
}

}  // namespace vlaserve
