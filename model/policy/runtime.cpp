#include "model/policy/runtime.h"

#include <cstdlib>
#include <exception>
#include <string>

#include <ATen/Parallel.h>
#include <torch/version.h>

#include "model/archive/torch_errors.h"

namespace vlaserve {

Status InitializeRuntime(int threads) {
  constexpr int kMaxThreads = 1024;
  if (threads < 0 || threads > kMaxThreads) {
    return {StatusCode::kInvalidArgument, "runtime.threads",
            "must be 0 (LibTorch's choice) to " + std::to_string(kMaxThreads) + ", found " +
                std::to_string(threads)};
  }
  if (setenv("MKL_CBWR", "AUTO,STRICT", /*overwrite=*/0) != 0) {
    return {StatusCode::kInternal, "cannot set MKL_CBWR in the environment"};
  }
  try {
    if (threads > 0) at::set_num_threads(threads);
    // LibTorch accepts this call once; a second InitializeRuntime must not fail on it.
    if (at::get_num_interop_threads() != 1) at::set_num_interop_threads(1);
  } catch (const std::exception& error) {
    return TorchFailure(StatusCode::kInternal, "LibTorch's threads", error);
  }
  return Status::Ok();
}

int RuntimeThreads() { return at::get_num_threads(); }

const char* LibtorchVersion() { return TORCH_VERSION; }

}  // namespace vlaserve
