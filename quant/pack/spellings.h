// How PackArithmetic and PackLayout are spelled in manifests and pack files; for the settings'
// enumerations they use quant/config/spellings.h. Changing a spelling changes the keys of all packs
// with it.
#pragma once

#include "quant/config/spellings.h"
#include "quant/pack/packed_layer.h"

namespace vlaserve {

inline constexpr Spellings<PackArithmetic, 4> kPackArithmeticSpellings{
    {{"integer", PackArithmetic::kInteger},
     {"legacy_f32", PackArithmetic::kLegacyF32},
     {"legacy_bf16", PackArithmetic::kLegacyBf16},
     {"none", PackArithmetic::kNone}}};
inline constexpr Spellings<PackLayout, 2> kPackLayoutSpellings{
    {{"rows_nibble_low_first", PackLayout::kRows}, {"panels_32", PackLayout::kPanels}}};

}  // namespace vlaserve
