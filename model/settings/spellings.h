// The spelling of every enumeration in policy.json; one table each, used by reader, writer and
// messages.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "model/settings/policy_settings.h"

namespace vlaserve {

template <typename Enum, size_t kCount>
using Spellings = std::array<std::pair<std::string_view, Enum>, kCount>;

inline constexpr Spellings<PolicyType, 2> kPolicyTypeSpellings{
    {{"pi0", PolicyType::kPi0}, {"pi05", PolicyType::kPi05}}};
inline constexpr Spellings<Normalization, 2> kNormalizationSpellings{
    {{"z_score", Normalization::kZScore}, {"quantile", Normalization::kQuantile}}};
inline constexpr Spellings<Convention, 2> kConventionSpellings{
    {{"openpi", Convention::kOpenpi}, {"lerobot", Convention::kLerobot}}};
inline constexpr Spellings<PromptFormat, 3> kPromptFormatSpellings{
    {{"pi0", PromptFormat::kPi0},
     {"pi05_state", PromptFormat::kPi05State},
     {"lerobot_pi0", PromptFormat::kLerobotPi0}}};
inline constexpr Spellings<ResizeMethod, 2> kResizeMethodSpellings{
    {{"pillow_bilinear_with_pad", ResizeMethod::kPillowBilinearWithPad},
     {"torch_bilinear_with_pad", ResizeMethod::kTorchBilinearWithPad}}};
inline constexpr Spellings<TimeSteps, 2> kTimeStepsSpellings{
    {{"openpi", TimeSteps::kOpenpi}, {"lerobot", TimeSteps::kLerobot}}};
inline constexpr Spellings<RopeInvFreq, 2> kRopeInvFreqSpellings{
    {{"exact", RopeInvFreq::kExact}, {"bf16_rounded", RopeInvFreq::kBf16Rounded}}};

template <typename Enum, size_t kCount>
std::string_view Spelling(const Spellings<Enum, kCount>& table, Enum value) {
  for (const auto& [name, candidate] : table) {
    if (candidate == value) return name;
  }
  return {};  // not reached: every enumerator is in its table
}

template <typename Enum, size_t kCount>
std::optional<Enum> FromSpelling(const Spellings<Enum, kCount>& table, std::string_view text) {
  for (const auto& [name, value] : table) {
    if (name == text) return value;
  }
  return std::nullopt;
}

// `"pi0" or "pi05"`
template <typename Enum, size_t kCount>
std::string SpellingList(const Spellings<Enum, kCount>& table) {
  std::string list;
  for (size_t i = 0; i < kCount; ++i) {
    if (i > 0) list += i + 1 == kCount ? " or " : ", ";
    list += '"' + std::string(table[i].first) + '"';
  }
  return list;
}

}  // namespace vlaserve
