#include "kernels/device.h"

#include "tests/support/catch.h"

namespace vlaserve::kernels {
namespace {

TEST_CASE("a build without CUDA finds no device and says why") {
  if (BuiltWithCuda()) {
    WARN("SKIPPED: this build has the CUDA back end");
    return;
  }
  const CudaDevices found = ListCudaDevices();
  CHECK(found.devices.empty());
  CHECK(found.problem.find("without CUDA") != std::string::npos);
}

TEST_CASE("a CUDA build lists working devices or says why there are none") {
  if (!BuiltWithCuda()) {
    WARN("SKIPPED: this build has no CUDA back end");
    return;
  }
  const CudaDevices found = ListCudaDevices();
  CHECK(found.devices.empty() != found.problem.empty());
  for (const CudaDevice& device : found.devices) {
    INFO(device.name);
    CHECK(device.problem.empty());
    CHECK(device.compute_capability_major > 0);
    CHECK(device.memory_bytes > 0);
  }
}

}  // namespace
}  // namespace vlaserve::kernels
