// From prompt and state to the text that is tokenised (spec pi0.md §3.5, §3.6 and erratum 6).
//
// Texts are UTF-8; bytes that are not valid UTF-8 are kept as they are. An empty prompt, or one
// that is empty after cleaning, is text like any other: whether it is allowed is the policy's
// decision. Thread-safety: pure functions.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/settings/policy_settings.h"

namespace vlaserve {

// `text` without leading and trailing white space in the sense of Python's str.strip(): 29 code
// points, among them U+001C–U+001F, U+0085, U+00A0 and U+3000, not U+200B and U+FEFF.
std::string_view StripWhitespace(std::string_view text);

// Stripped, then every "_" and every newline becomes a space; nothing else changes.
std::string CleanPrompt(std::string_view prompt);

// The bin of a normalised state value among 256 bins of width 1/128 over [-1, 1): the number of bin
// edges <= x, minus 1. Below -1 it is -1, from 1 on 255; NaN gives 255 (as numpy.digitize).
int DiscretizeState(double x);

// The texts that are tokenised one after the other, each on its own, and concatenated behind BOS:
//   kPi0         {cleaned prompt, "\n"}
//   kPi05State   {"Task: {cleaned}, State: {bins, separated by spaces};\nAction: "}
//   kLerobotPi0  {the prompt as it is, with "\n" appended unless it ends with one}
// `normalized_state` is used by kPi05State only: normalised and not padded.
std::vector<std::string> PromptTexts(PromptFormat format, std::string_view prompt,
                                     std::span<const double> normalized_state);

}  // namespace vlaserve
