#include "quant/bench/rounds.h"

#include <limits>

#include <ATen/ops/full.h>

#include "tests/support/catch.h"

namespace vlaserve {
namespace {

// One whose result is `value` where float32 has 1, and that counts its calls.
Contender Made(const std::string& name, double value, std::vector<int64_t>* calls = nullptr) {
  Contender contender;
  contender.name = name;
  contender.operations = 1;
  contender.run = [calls](int64_t call) {
    if (calls != nullptr) calls->push_back(call);
  };
  contender.result = [value] { return at::full({4}, value); };
  contender.expected = [] { return at::full({4}, 1.0); };
  contender.tolerance = 0.01;
  return contender;
}

TEST_CASE("a contender that computes something else is an error") {
  for (const double value : {1.02, 0.0, std::numeric_limits<double>::quiet_NaN(),
                             std::numeric_limits<double>::infinity()}) {
    INFO(value);
    Rounds rounds({Made("sound", 1.005), Made("garbage", value)}, {});
    const Status status = rounds.Check();
    CHECK(status.code() == StatusCode::kInternal);
    CHECK(status.message().starts_with("garbage"));
  }
}

TEST_CASE("calls are numbered on, and rounds counted") {
  std::vector<int64_t> calls;
  Contender absent = Made("absent", 1);
  absent.missing = "no such instruction";
  KernelBenchOptions options;
  options.contender_seconds = 60;
  Rounds rounds({Made("counted", 1, &calls), absent}, options);
  REQUIRE(rounds.Check().ok());
  for (int i = 0; i < 3; ++i) rounds.Run();
  CHECK(calls == std::vector<int64_t>{0, 1, 2, 3});
  const std::vector<ContenderResult> results = rounds.Results();
  REQUIRE(results.size() == 2);
  CHECK(results[0].rounds == 3);
  CHECK(results[1].rounds == 0);
  CHECK(results[1].missing == "no such instruction");
}

TEST_CASE("a contender without time left still gets one round") {
  std::vector<int64_t> calls;
  KernelBenchOptions options;
  options.contender_seconds = 0;
  Rounds rounds({Made("slow", 1, &calls)}, options);
  REQUIRE(rounds.Check().ok());
  rounds.Run();
  rounds.Run();
  CHECK(rounds.Results()[0].rounds == 1);
  CHECK(calls.size() == 2);
}

}  // namespace
}  // namespace vlaserve
