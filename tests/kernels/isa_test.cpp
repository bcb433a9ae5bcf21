#include "kernels/isa.h"

#include <algorithm>
#include <string>

#include "kernels/cpu/kernel_table.h"
#include "tests/support/catch.h"

namespace vlaserve::kernels {
namespace {

TEST_CASE("instruction sets: portable runs everywhere, the list ascends") {
  const std::vector<Isa> isas = RunnableIsas();
  REQUIRE_FALSE(isas.empty());
  CHECK(isas.front() == Isa::kPortable);
  CHECK(std::is_sorted(isas.begin(), isas.end()));
  for (const Isa isa : isas) CHECK(CpuRuns(isa));
}

TEST_CASE("instruction sets: without a name the fastest is taken") {
  for (const char* const name : {static_cast<const char*>(nullptr), ""}) {
    const IsaChoice choice = ChooseIsa(name);
    CHECK(choice.isa == RunnableIsas().back());
    CHECK(choice.problem.empty());
  }
}

TEST_CASE("instruction sets: each one that runs can be asked for by name") {
  for (const Isa isa : RunnableIsas()) {
    const IsaChoice choice = ChooseIsa(std::string(IsaName(isa)).c_str());
    CHECK(choice.isa == isa);
    CHECK(choice.problem.empty());
  }
}

TEST_CASE("instruction sets: what cannot be had is a problem that names the alternatives") {
  std::vector<std::string> names = {"AVX2", "sse9"};
  for (const Isa isa : {Isa::kAvx2, Isa::kAvx512Vnni}) {
    if (!CpuRuns(isa)) names.emplace_back(IsaName(isa));
  }
  for (const std::string& name : names) {
    const IsaChoice choice = ChooseIsa(name.c_str());
    INFO(choice.problem);
    CHECK(choice.isa == RunnableIsas().back());
    CHECK(choice.problem.find("VLASERVE_ISA") != std::string::npos);
    CHECK(choice.problem.find("'" + name + "'") != std::string::npos);
    for (const Isa isa : RunnableIsas()) {
      CHECK(choice.problem.find(IsaName(isa)) != std::string::npos);
    }
  }
}

TEST_CASE("instruction sets: every table is whole and its own") {
  for (const Isa isa : RunnableIsas()) {
    const CpuKernels& cpu = KernelsFor(isa);
    CHECK(cpu.isa == isa);
    CHECK(cpu.max_rows > 0);
    CHECK(cpu.gemm != nullptr);
    CHECK(cpu.gated_hidden != nullptr);
    CHECK(cpu.quantize != nullptr);
    CHECK(cpu.attention != nullptr);
  }
}

}  // namespace
}  // namespace vlaserve::kernels
