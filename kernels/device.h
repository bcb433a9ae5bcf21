// The CUDA devices that this program could use. Present in every build; a build without the CUDA
// back end finds none and says so.
//
// Thread-safety: may be called from any thread.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace vlaserve::kernels {

struct CudaDevice {
  int index = 0;
  std::string name;
  int compute_capability_major = 0;
  int compute_capability_minor = 0;
  size_t memory_bytes = 0;
  // Empty if a kernel of this build ran on the device; else why it did not (no code for its
  // architecture, an exclusive device in use …).
  std::string problem;
};

struct CudaDevices {
  std::vector<CudaDevice> devices;
  std::string problem;  // why there are none: built without CUDA, no driver, no device
};

// Lists the devices and runs a one-thread kernel on each: only that shows that this build has code
// for the device's architecture.
CudaDevices ListCudaDevices();

// Whether the CUDA back end was compiled in.
bool BuiltWithCuda();

}  // namespace vlaserve::kernels
