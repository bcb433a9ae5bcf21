// `vlaserve synth`: a random checkpoint in openpi's layout, to try everything without weights.
//
// DIR gets what an export needs: model.safetensors (openpi's names; the embedding as
// paligemma.lm_head.weight with the alias in __metadata__; the never-run gemma_expert.lm_head),
// config.json, geometry.json, policy.json, tokenizer.model and the norm statistics below assets/.
// The numbers are made up, the sizes of `full` are those of the released models.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/geometry.h"
#include "model/io/file_system.h"
#include "model/io/progress.h"
#include "model/io/status.h"

namespace vlaserve {

// kTiny: about 1 M parameters, float32 for π0 and bfloat16 for π0.5. kFull: 3.5 G parameters,
// bfloat16.
enum class SynthSize { kTiny, kFull };

struct SynthOptions {
  PolicyType type = PolicyType::kPi0;
  SynthSize size = SynthSize::kTiny;
  uint64_t seed = 0;
  std::string out;  // directory, created if absent
};

Geometry SynthGeometry(PolicyType type, SynthSize size);

// The tensors of model.safetensors for these sizes, sorted by their names there.
std::vector<ExpectedTensor> SynthTensors(const Geometry& geometry);

// The same options give the same bytes on every machine. Streams: needs a few MB of memory whatever
// the size. Errors: kFailedPrecondition if `out` holds anything but an earlier result of this
// function (which is replaced); kIo.
Status SynthesizeCheckpoint(FileSystem& files, const SynthOptions& options,
                            const ProgressSink& progress);

}  // namespace vlaserve
