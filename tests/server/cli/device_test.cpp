// runtime.device against what this build and machine have.
#include "server/cli/device.h"

#include "kernels/device.h"
#include "tests/support/catch.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

TEST_CASE("the CPU is always there") { CHECK(CheckDevice("cpu").ok()); }

TEST_CASE("a CUDA device that cannot be used is a device error that says why") {
  const size_t count = kernels::ListCudaDevices().devices.size();
  for (const std::string& device : {std::string("cuda"), "cuda:" + std::to_string(count)}) {
    const Status status = CheckDevice(device);
    CHECK(status.code() == StatusCode::kDevice);
    CHECK(status.field() == "runtime.device");
    CHECK(status.message().rfind(device + ": ", 0) == 0);
    CHECK(status.message().size() > device.size() + 10);
  }
}
