// The TorchScript module of an open archive. Includes LibTorch's JIT headers: few files should.
#pragma once

#include <torch/csrc/jit/api/module.h>

namespace vlaserve {

struct ArchiveModule {
  // Parameters alias the archive's read-only mapping: never write into them, replace them.
  torch::jit::Module module;
};

}  // namespace vlaserve
