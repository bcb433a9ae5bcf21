// openpi_duquant's arithmetic against the golden data of it.
#include "quant/golden/legacy.h"

#include <string>

#include <ATen/Parallel.h>

#include "tests/support/catch.h"
#include "tests/support/golden.h"

namespace vlaserve {
namespace {

TEST_CASE("golden: the reference's codes, scales and outputs are reproduced") {
  // Thousands of tiny operators: threads only get into each other's way.
  at::set_num_threads(1);
  const auto summary = CheckLegacy(PosixFileSystem(), GoldenPath("quant/legacy"));
  INFO(summary.status().message());
  REQUIRE(summary.ok());
  std::string failures;
  for (const GoldenFailure& failure : summary->failures) {
    failures += "\n" + failure.case_id + " " + failure.value + ": " + failure.difference;
  }
  INFO(failures);
  CHECK(summary->failures.empty());
  ReportGoldenCases("quant/legacy", static_cast<size_t>(summary->cases));
}

}  // namespace
}  // namespace vlaserve
