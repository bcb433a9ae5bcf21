// The comparisons of one case with the reference's numbers: README of the quantizer's golden data,
// §2 "Compare". Includes LibTorch. Functions throw c10::Error for what LibTorch refuses.
#pragma once

#include <string>
#include <vector>

#include "model/io/status.h"
#include "quant/golden/legacy_case.h"
#include "quant/golden/tensor_compare.h"

namespace vlaserve {

// (a) From the stored transformed tensors and scales: codes and scales, exactly.
void CompareFromStored(LegacyCase& golden, CaseComparison& compare);

// (b), (c) From the weight, the inputs and the imported pack through packer and engine.
// Errors: those of the packer and the engine.
Status CompareWithImportedPack(LegacyCase& golden, CaseComparison& compare);

// The weight that is rotated twice, where a case has it (README §2 "inplace_bug").
Status CompareInplaceBug(LegacyCase& golden, CaseComparison& compare);

// What a quantization with transforms of our own is judged by.
struct OwnTransformsResult {
  std::string case_id;
  bool four_bits = false;
  double nmse_ratio = 1;  // ours / the reference's, over all outputs of the case
};

// (d) With transforms of our own. `same_permutation`: the layer's energies are far enough apart
// for the permutation to be the reference's.
Result<OwnTransformsResult> CompareWithOwnTransforms(LegacyCase& golden, bool same_permutation,
                                                     CaseComparison& compare);

}  // namespace vlaserve
