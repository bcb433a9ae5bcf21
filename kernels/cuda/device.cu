#include <cuda_runtime.h>

#include "kernels/device.h"

namespace vlaserve::kernels {
namespace {

constexpr unsigned kProbeWord = 0x600DC0DEU;

__global__ void WriteProbeWord(unsigned* word) { *word = kProbeWord; }

std::string Probe(int index) {
  unsigned* device_word = nullptr;
  unsigned word = 0;
  cudaError_t error = cudaSetDevice(index);
  if (error == cudaSuccess) error = cudaMalloc(&device_word, sizeof word);
  if (error == cudaSuccess) {
    WriteProbeWord<<<1, 1>>>(device_word);
    error = cudaGetLastError();
  }
  if (error == cudaSuccess) {
    error = cudaMemcpy(&word, device_word, sizeof word, cudaMemcpyDeviceToHost);
  }
  cudaFree(device_word);
  if (error != cudaSuccess) return cudaGetErrorString(error);
  return word == kProbeWord ? "" : "a test kernel ran but its result did not arrive";
}

}  // namespace

bool BuiltWithCuda() { return true; }

CudaDevices ListCudaDevices() {
  CudaDevices result;
  int count = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess) {
    result.problem = cudaGetErrorString(error);
    return result;
  }
  for (int index = 0; index < count; ++index) {
    CudaDevice device;
    device.index = index;
    cudaDeviceProp properties;
    if (const cudaError_t error = cudaGetDeviceProperties(&properties, index);
        error != cudaSuccess) {
      device.problem = cudaGetErrorString(error);
    } else {
      device.name = properties.name;
      device.compute_capability_major = properties.major;
      device.compute_capability_minor = properties.minor;
      device.memory_bytes = properties.totalGlobalMem;
      device.problem = Probe(index);
    }
    result.devices.push_back(device);
  }
  return result;
}

}  // namespace vlaserve::kernels
