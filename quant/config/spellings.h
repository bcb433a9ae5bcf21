// The spelling of every enumeration of the quantization settings, as in config files.
#pragma once

#include "model/settings/spellings.h"
#include "quant/config/quant_config.h"

namespace vlaserve {

inline constexpr Spellings<Engine, 5> kEngineSpellings{
    {{"off", Engine::kOff},
     {"int", Engine::kInt},
     {"fake", Engine::kFake},
     {"legacy_exact", Engine::kLegacyExact},
     {"transforms_only", Engine::kTransformsOnly}}};
inline constexpr Spellings<WeightRounding, 3> kWeightRoundingSpellings{
    {{"rtn", WeightRounding::kRtn},
     {"grid5", WeightRounding::kGrid5},
     {"clip_search", WeightRounding::kClipSearch}}};
inline constexpr Spellings<ActivationMode, 6> kActivationModeSpellings{
    {{"dynamic_token", ActivationMode::kDynamicToken},
     {"dynamic_token_group", ActivationMode::kDynamicTokenGroup},
     {"dynamic_tensor", ActivationMode::kDynamicTensor},
     {"static_tensor", ActivationMode::kStaticTensor},
     {"static_channel", ActivationMode::kStaticChannel},
     {"step_channel", ActivationMode::kStepChannel}}};
inline constexpr Spellings<Permute, 3> kPermuteSpellings{{{"off", Permute::kOff},
                                                          {"weight_zigzag", Permute::kWeightZigzag},
                                                          {"act_snake", Permute::kActSnake}}};
inline constexpr Spellings<RotateIn, 5> kRotateInSpellings{
    {{"off", RotateIn::kOff},
     {"weight_svd", RotateIn::kWeightSvd},
     {"hadamard", RotateIn::kHadamard},
     {"svd_hadamard", RotateIn::kSvdHadamard},
     {"duquant_greedy", RotateIn::kDuquantGreedy}}};
inline constexpr Spellings<RotateOut, 3> kRotateOutSpellings{
    {{"off", RotateOut::kOff},
     {"restore", RotateOut::kRestore},
     {"propagate", RotateOut::kPropagate}}};
inline constexpr Spellings<SmoothMode, 2> kSmoothModeSpellings{
    {{"off", SmoothMode::kOff}, {"file", SmoothMode::kFile}}};
inline constexpr Spellings<Fusion, 4> kFusionSpellings{{{"shared_input", Fusion::kSharedInput},
                                                        {"norm", Fusion::kNorm},
                                                        {"gated_mlp", Fusion::kGatedMlp},
                                                        {"residual", Fusion::kResidual}}};

// The flags of CompatBugs by name.
inline constexpr Spellings<bool CompatBugs::*, 5> kCompatBugSpellings{
    {{"first_batch_calib", &CompatBugs::first_batch_calib},
     {"row_rot_none", &CompatBugs::row_rot_none},
     {"sq_inverted", &CompatBugs::sq_inverted},
     {"inplace_weight", &CompatBugs::inplace_weight},
     {"wbits32_scale1", &CompatBugs::wbits32_scale1}}};

}  // namespace vlaserve
