// From prompt and state to padded token ids (spec pi0.md §3.5, §3.6).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "model/io/status.h"
#include "model/settings/policy_settings.h"
#include "model/transforms/tokenizer.h"

namespace vlaserve {

// A prompt ready for the model. `ids` and `mask` have one element per prompt slot: the tokens
// first, then id 0 with mask 0.
struct PromptTokens {
  std::vector<int64_t> ids;
  std::vector<uint8_t> mask;
  int64_t length = 0;      // slots in use, BOS included
  bool truncated = false;  // the text had more tokens than slots; the tail is lost
};

// Formats (PromptTexts of prompt.h), tokenises, puts BOS in front, truncates and pads.
// `normalized_state` is the normalised, unpadded state (used by PromptFormat::kPi05State only).
// Errors: kInvalidArgument for a state value that is not a number (field "state") where the state
// is used, and for prompt_slots < 1. Pure function; thread-safe.
Result<PromptTokens> TokenizePrompt(const Tokenizer& tokenizer, PromptFormat format,
                                    std::string_view prompt,
                                    std::span<const double> normalized_state, int64_t prompt_slots);

}  // namespace vlaserve
