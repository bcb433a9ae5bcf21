#include "model/transforms/prompt.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace vlaserve {
namespace {

// UTF-8 of the code points for which Python's str.isspace() holds.
constexpr std::array<std::string_view, 29> kWhitespace = {
    "\t",           "\n",           "\v",           "\f",           "\r",
    "\x1c",         "\x1d",         "\x1e",         "\x1f",         " ",
    "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81",
    "\xe2\x80\x82", "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86",
    "\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8",
    "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};

constexpr int kBins = 256;

}  // namespace

std::string_view StripWhitespace(std::string_view text) {
  // UTF-8 synchronises itself: no white space is a suffix of another character's encoding.
  const auto find = [&](auto matches) {
    const auto* found = std::find_if(kWhitespace.begin(), kWhitespace.end(), matches);
    return found == kWhitespace.end() ? size_t{0} : found->size();
  };
  while (const size_t size =
             find([&](std::string_view space) { return text.starts_with(space); })) {
    text.remove_prefix(size);
  }
  while (const size_t size = find([&](std::string_view space) { return text.ends_with(space); })) {
    text.remove_suffix(size);
  }
  return text;
}

std::string CleanPrompt(std::string_view prompt) {
  std::string cleaned(StripWhitespace(prompt));
  std::replace_if(
      cleaned.begin(), cleaned.end(), [](char c) { return c == '_' || c == '\n'; }, ' ');
  return cleaned;
}

int DiscretizeState(double x) {
  if (x < -1.0) return -1;
  if (!(x < 1.0)) return kBins - 1;
  // x * 128 is exact; (x + 1) * 128 would round tiny negative values up to the next edge.
  return static_cast<int>(std::floor(x * (kBins / 2))) + kBins / 2;
}

std::vector<std::string> PromptTexts(PromptFormat format, std::string_view prompt,
                                     std::span<const double> normalized_state) {
  switch (format) {
    case PromptFormat::kPi05State: {
      std::string text = "Task: " + CleanPrompt(prompt) + ", State:";
      // One space even where there is no state at all, as joining no words gives.
      if (normalized_state.empty()) text += ' ';
      for (const double x : normalized_state) text += ' ' + std::to_string(DiscretizeState(x));
      return {text + ";\nAction: "};
    }
    case PromptFormat::kLerobotPi0: {
      std::string text(prompt);
      if (!text.ends_with('\n')) text += '\n';
      return {text};
    }
    case PromptFormat::kPi0:
      break;
  }
  return {CleanPrompt(prompt), "\n"};
}

}  // namespace vlaserve
