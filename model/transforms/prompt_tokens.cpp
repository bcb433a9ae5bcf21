#include "model/transforms/prompt_tokens.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

#include "model/transforms/prompt.h"

namespace vlaserve {

Result<PromptTokens> TokenizePrompt(const Tokenizer& tokenizer, PromptFormat format,
                                    std::string_view prompt,
                                    std::span<const double> normalized_state,
                                    int64_t prompt_slots) {
  if (prompt_slots < 1) {
    return Status(StatusCode::kInvalidArgument,
                  "prompt slots: " + std::to_string(prompt_slots) + ", expected at least 1");
  }
  if (format == PromptFormat::kPi05State) {
    const auto nan = std::find_if(normalized_state.begin(), normalized_state.end(),
                                  [](double x) { return std::isnan(x); });
    if (nan != normalized_state.end()) {
      return Status(StatusCode::kInvalidArgument, "state",
                    "normalised state[" + std::to_string(nan - normalized_state.begin()) +
                        "] is not a number");
    }
  }

  PromptTokens result;
  result.ids.push_back(tokenizer.bos_id());
  for (const std::string& text : PromptTexts(format, prompt, normalized_state)) {
    const std::vector<int32_t> ids = tokenizer.Encode(text);
    result.ids.insert(result.ids.end(), ids.begin(), ids.end());
  }
  const size_t slots = static_cast<size_t>(prompt_slots);
  result.truncated = result.ids.size() > slots;
  result.length = static_cast<int64_t>(std::min(result.ids.size(), slots));
  result.ids.resize(slots, 0);
  result.mask.assign(slots, 0);
  std::fill_n(result.mask.begin(), result.length, uint8_t{1});
  return result;
}

}  // namespace vlaserve
