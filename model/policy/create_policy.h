// From an open archive to a policy that is ready to be warmed up. Free of LibTorch headers.
#pragma once

#include <memory>

#include "model/archive/archive.h"
#include "model/io/status.h"
#include "model/policy/policy.h"

namespace vlaserve {

// Converts the weights to the compute dtype (model/policy/load.h), computes the step table for the
// default number of steps and reads the tokenizer. Takes the archive over: weights that are stored
// as they are computed with stay in its mapping.
//
// Call it on the thread that will call Infer. InitializeRuntime (model/policy/runtime.h) must have
// been called before.
//
// Errors: kInvalidArgument for options out of range, kUnreadable for a tokenizer or statistics that
// do not fit the policy, kInternal for what LibTorch reports.
Result<std::unique_ptr<Policy>> CreatePolicy(std::unique_ptr<Archive> archive,
                                             const PolicyOptions& options);

}  // namespace vlaserve
