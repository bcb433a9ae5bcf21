// From the records of an archive to a TorchScript module, without copying a weight.
#pragma once

#include <torch/csrc/jit/api/module.h>

#include "model/archive/archive_records.h"
#include "model/io/status.h"

namespace vlaserve {

// Checks pickles and code (pickle_check.h, code_check.h), then imports the code and unpickles the
// module. Nothing of the archive's code is run. Works for scripted, traced and frozen modules of
// any kind; operators are not looked at (operator_check.h).
//
// The tensors' storages alias the mapping, which they keep alive; it is read-only: writing into a
// tensor ends the process. Tensors saved on another device arrive on the CPU. Tensors that shared a
// storage share it again.
//
// Errors: kUnreadable naming file and record, byte, line, class or attribute.
Result<torch::jit::Module> LoadModule(const ArchiveRecords& records);

}  // namespace vlaserve
