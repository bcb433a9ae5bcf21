#include "quant/bench/bench_shapes.h"

#include "tests/support/catch.h"

namespace vlaserve {
namespace {

std::vector<std::string> NamesOf(const std::vector<std::string>& names) {
  const auto shapes = ChooseShapes(names);
  REQUIRE(shapes.ok());
  std::vector<std::string> found;
  for (const BenchShape& shape : *shapes) found.push_back(shape.name);
  return found;
}

TEST_CASE("shapes are chosen by name, by part and by size") {
  using Names = std::vector<std::string>;
  CHECK(NamesOf({}).size() == PolicyShapes().size());
  CHECK(NamesOf({"llm.down", "expert.qkv", "llm.down"}) == Names{"llm.down", "expert.qkv"});
  CHECK(NamesOf({"vision"}) == Names{"vision.qkv", "vision.o", "vision.fc1", "vision.fc2",
                                     "vision.projector", "vision.attention"});
  CHECK(NamesOf({"96x40", "llm.o"}) == Names{"llm.o", "96x40"});
  const auto own = ChooseShapes({"96x40"});
  REQUIRE(own.ok());
  const auto* linear = std::get_if<LinearShape>(&own->front().sizes);
  REQUIRE(linear != nullptr);
  CHECK(linear->in_features == 96);
  CHECK(linear->out_features == 40);
}

TEST_CASE("a shape that means nothing is refused") {
  for (const char* name :
       {"", "llm.", "lm", "0x8", "8x0", "8x65537", "8x", "x8", "8x8x8", "-8x8"}) {
    INFO(name);
    const auto shapes = ChooseShapes({"llm", name});
    REQUIRE_FALSE(shapes.ok());
    CHECK(shapes.status().code() == StatusCode::kInvalidArgument);
    CHECK(shapes.status().field() == "shapes");
    CHECK(shapes.status().message().find("expert.gate_up") != std::string::npos);
  }
}

TEST_CASE("sizes of a shape, in words") {
  CHECK(SizesText({"a", LinearShape{2048, 256}}) == "2048 -> 256");
  CHECK(SizesText({"a", GatedMlpShape{64, 128}}) == "64 -> 128 -> 64");
  CHECK(SizesText({"a", AttentionShape{2, 16, 16, 256, 300, 72}}) ==
        "2 x 16 heads of 72, 256 x 300");
}

}  // namespace
}  // namespace vlaserve
