// The lines and tables that engines report.
#include "quant/engine/observer.h"

#include <array>

#include "tests/support/catch.h"

namespace vlaserve {
namespace {

using Lines = std::vector<std::string>;

TEST_CASE("nothing recorded, no table; nothing is recorded without the option") {
  EngineObserver observer(EngineObserver::Options{});
  observer.Record("weight_prequant", 1, 2, 3);
  CHECK(observer.ProfileTable("").empty());
  CHECK(PolicyProfileTable({}, "").empty());
}

TEST_CASE("a timed call adds its time, elements and bytes to its row") {
  double now = 10;
  EngineObserver::Options options;
  options.profile = true;
  options.cuda_sync = false;
  options.clock = [&now] { return now += 0.5; };
  EngineObserver observer(options);
  const auto twice = [&observer](const char* label) {
    return observer.Timed(label, 100, 2000000000, [] { return 7; });
  };
  CHECK(twice("b") == 7);
  twice("b");
  twice("a");
  const Lines lines = observer.ProfileTable(" [episode 3]");
  REQUIRE(lines.size() == 7);
  CHECK(lines[1] == "[DUQUANT][PROFILE] fake quantization summary (cuda_sync=off) [episode 3]");
  CHECK(lines[4] ==
        "a                                   1       500.00    500.000            100       4.00");
  CHECK(lines[5] ==
        "b                                   2      1000.00    500.000            200       4.00");
  observer.ResetProfile();
  CHECK(observer.ProfileTable("").empty());
}

TEST_CASE("CACHE and FORWARD lines come with the option debug only") {
  Lines lines;
  EngineObserver::Options options;
  options.log = [&lines](const std::string& line) { lines.push_back(line); };
  const CachedLayer cached{"a.q", "bfloat16", 4, 8, 16, true, "restore", true};
  const std::array<int64_t, 1> shape = {16};
  const EngineObserver silent(options);
  silent.LogCached(cached);
  silent.LogForwarded({"a.q", shape, shape, 4, 8});
  CHECK(lines.empty());
  options.debug = true;
  const EngineObserver observer(options);
  observer.LogCached(cached);
  observer.LogForwarded({"a.q", shape, shape, 4, 8});
  CHECK(lines == Lines{"[DUQUANT][CACHE] a.q device=cpu dtype=torch.bfloat16 Wbits=4 Abits=8 "
                       "block_in=16 permute=True row_rot=restore",
                       "[DUQUANT][CACHE] a.q pre-quantized weights cached",
                       "[DUQUANT][FORWARD] a.q input=(16,) output=(16,) weight_bits=4 act_bits=8"});
}

}  // namespace
}  // namespace vlaserve
