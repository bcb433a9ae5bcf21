#include "quant/bench/peaks.h"

#include "kernels/peak.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

TEST_CASE("the loops of every instruction set of this processor run") {
  for (const kernels::Isa isa : kernels::RunnableIsas()) {
    INFO(IsaName(isa));
    for (const kernels::PeakLoop& loop :
         {kernels::IntegerPeakLoop(isa), kernels::Float32PeakLoop(isa)}) {
      CHECK((loop.run == nullptr) == (isa == kernels::Isa::kPortable));
      if (loop.run == nullptr) continue;
      loop.run(3);
      CHECK(loop.operations > 0);
      CHECK(loop.instructions[0] != '\0');
    }
  }
}

TEST_CASE("peaks are measured, the portable kernels have none") {
  const Peaks portable = MeasurePeaks(kernels::Isa::kPortable);
  CHECK(portable.integer == 0);
  CHECK(portable.integer_instructions.empty());
  CHECK(portable.memory > 0);
  const kernels::Isa fastest = kernels::RunnableIsas().back();
  if (fastest == kernels::Isa::kPortable) return;
  const Peaks peaks = MeasurePeaks(fastest);
  CHECK(peaks.integer > 0);
  CHECK(peaks.float32 > 0);
}

}  // namespace
}  // namespace vlaserve
