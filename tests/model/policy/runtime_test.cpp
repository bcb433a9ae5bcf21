#include "model/policy/runtime.h"

#include <cstdlib>
#include <cstring>
#include <string>

#include <ATen/ATen.h>

#include "tests/support/catch.h"

namespace vlaserve {

TEST_CASE("The number of threads must make sense") {
  CHECK(InitializeRuntime(-1).field() == "runtime.threads");
  CHECK(InitializeRuntime(1025).code() == StatusCode::kInvalidArgument);
  REQUIRE(InitializeRuntime(1).ok());
  CHECK(RuntimeThreads() == 1);
  REQUIRE(InitializeRuntime(0).ok());
  CHECK(RuntimeThreads() == 1);
}

TEST_CASE("LibTorch's version is known") {
  CHECK(std::string(LibtorchVersion()).find('.') != std::string::npos);
}

TEST_CASE("float32 linears give the same bytes with one and two threads") {
  REQUIRE(InitializeRuntime(1).ok());
  REQUIRE(std::getenv("MKL_CBWR") != nullptr);
  const c10::InferenceMode inference;
  at::manual_seed(1);
  for (const int64_t rows : {1, 10, 51}) {
    for (const int64_t inner : {96, 1024}) {
      for (const int64_t outer : {32, 1024}) {
        INFO(rows << " x " << inner << " x " << outer);
        const at::Tensor x = at::randn({rows, inner});
        const at::Tensor weight = at::randn({outer, inner});
        REQUIRE(InitializeRuntime(1).ok());
        const at::Tensor one = at::linear(x, weight);
        REQUIRE(InitializeRuntime(2).ok());
        const at::Tensor two = at::linear(x, weight);
        CHECK(std::memcmp(one.const_data_ptr(), two.const_data_ptr(), one.nbytes()) == 0);
      }
    }
  }
}

}  // namespace vlaserve
