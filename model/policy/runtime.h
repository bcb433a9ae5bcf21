// Process-wide settings of LibTorch. Free of LibTorch headers.
#pragma once

#include "model/io/status.h"

namespace vlaserve {

// Sets up LibTorch's thread pools and MKL for the whole process. Call from main, before anything
// else of model/ that computes and before other threads exist; a later call changes `threads` only.
//
// `threads`: threads of one operator; 0 keeps LibTorch's choice (the cores it may use). Operators
// never run beside each other.
//
// Sets MKL_CBWR=AUTO,STRICT in the environment unless it is set already: MKL then gives the same
// float32 bytes for any number of threads (oneMKL Developer Guide, "Obtaining Numerically
// Reproducible Results"). MKL reads the variable at its first call, hence the order.
//
// Errors: kInvalidArgument (field "runtime.threads") outside 0 … 1024; kInternal if LibTorch or the
// environment refuses.
Status InitializeRuntime(int threads);

// The number of threads of one operator.
int RuntimeThreads();

// LibTorch's version, "2.11.0".
const char* LibtorchVersion();

}  // namespace vlaserve
