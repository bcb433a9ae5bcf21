#include "model/export/template.h"

#include "tests/support/catch.h"

namespace vlaserve {
namespace {

const TemplateValues kValues = {{"DEPTH", 3}, {"LAST", 2}, {"FLOAT32", 6}};

std::string Expand(std::string_view text) {
  const Result<std::string> expanded = ExpandTemplate(text, kValues, "x.py");
  INFO(expanded.status().message());
  REQUIRE(expanded.ok());
  return *expanded;
}

std::string ErrorOf(std::string_view text) {
  const Result<std::string> expanded = ExpandTemplate(text, kValues, "x.py");
  REQUIRE(!expanded.ok());
  CHECK(expanded.status().code() == StatusCode::kInternal);
  return expanded.status().message();
}

TEST_CASE("template: only whole words are replaced") {
  CHECK(Expand("x.to(FLOAT32)\n") == "x.to(6)\n");
  CHECK(Expand("FLOAT32x _FLOAT32 FLOAT321\n") == "FLOAT32x _FLOAT32 FLOAT321\n");
  CHECK(Expand("keys[LAST], \"LAST\"") == "keys[2], \"2\"\n");
}

TEST_CASE("template: loops repeat their lines with the index") {
  CHECK(Expand("a\n  #for I in LAST\n  f(I, 2 * I, DEPTH)\n  #end\nb\n") ==
        "a\n  f(0, 2 * 0, 3)\n  f(1, 2 * 1, 3)\nb\n");
}

TEST_CASE("template: a loop of zero rounds leaves nothing") {
  const Result<std::string> expanded =
      ExpandTemplate("#for I in LAST\nx\n#end\n", {{"LAST", 0}}, "x.py");
  REQUIRE(expanded.ok());
  CHECK(expanded->empty());
}

TEST_CASE("template: comments and empty lines are dropped") {
  CHECK(Expand("# DEPTH\n\n  # more\ny = 1\n") == "y = 1\n");
}

TEST_CASE("template: mistakes name file and line") {
  CHECK(ErrorOf("a\n#for I in NOWHERE\n#end\n") == "x.py:2: unknown count NOWHERE");
  CHECK(ErrorOf("#end\n") == "x.py:1: #end without #for");
  CHECK(ErrorOf("#for I in DEPTH\nx\n") == "x.py:2: #for without #end");
  CHECK(ErrorOf("#for I DEPTH\n") ==
        "x.py:1: expected '#for NAME in COUNT' outside of another loop");
  CHECK(ErrorOf("#for I in DEPTH\n#for J in DEPTH\n") ==
        "x.py:2: expected '#for NAME in COUNT' outside of another loop");
}

}  // namespace
}  // namespace vlaserve
