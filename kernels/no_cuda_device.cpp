#include "kernels/device.h"

namespace vlaserve::kernels {

bool BuiltWithCuda() { return false; }

CudaDevices ListCudaDevices() {
  return {.devices = {}, .problem = "this program was built without CUDA (VLASERVE_CUDA=OFF)"};
}

}  // namespace vlaserve::kernels
