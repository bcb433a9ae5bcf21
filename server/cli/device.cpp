#include "server/cli/device.h"

#include "kernels/device.h"

namespace vlaserve {

Status CheckDevice(const std::string& device) {
  if (device == "cpu") return Status::Ok();
  const auto error = [&](const std::string& why) {
    return Status(StatusCode::kDevice, "runtime.device", device + ": " + why);
  };
  const kernels::CudaDevices found = kernels::ListCudaDevices();
  if (found.devices.empty()) return error(found.problem);
  const size_t colon = device.find(':');
  const size_t index = colon == std::string::npos ? 0 : std::stoul(device.substr(colon + 1));
  if (index >= found.devices.size()) {
    return error("there are " + std::to_string(found.devices.size()) + " CUDA devices");
  }
  const kernels::CudaDevice& chosen = found.devices[index];
  if (!chosen.problem.empty()) return error(chosen.name + ": " + chosen.problem);
  return error(chosen.name + " is there, but policies are computed on the CPU in this version");
}

}  // namespace vlaserve
