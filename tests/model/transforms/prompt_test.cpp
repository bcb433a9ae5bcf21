#include "model/transforms/prompt.h"

#include <cmath>
#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "tests/model/transforms/golden_text.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"

namespace vlaserve {
namespace {

TEST_CASE("golden: exactly Python's white space is stripped", "[prompt]") {
  const nlohmann::json golden = ReadGoldenJson("transforms/prompt_text.json");
  const auto stripped = golden.at("strip_code_points").get<std::set<uint32_t>>();
  size_t wrong = 0;
  for (uint32_t code_point = 0; code_point <= 0x10FFFF; ++code_point) {
    if (code_point >= 0xD800 && code_point < 0xE000) continue;
    const std::string c = EncodeUtf8(code_point);
    const std::string expected = stripped.count(code_point) > 0 ? "x" : c + "x" + c;
    if (StripWhitespace(c + "x" + c) != expected) ++wrong;
  }
  CHECK(wrong == 0);
  ReportGoldenCases("prompt_text: strip_code_points", stripped.size());
}

TEST_CASE("golden: prompts are cleaned as openpi does", "[prompt]") {
  size_t cases = 0;
  const nlohmann::json golden = ReadGoldenJson("transforms/prompt_text.json");
  for (const auto& expected : golden.at("clean")) {
    const std::string prompt = FromHex(expected.at("prompt_utf8_hex").get<std::string>());
    CAPTURE(prompt);
    const std::string cleaned = FromHex(expected.at("cleaned_utf8_hex").get<std::string>());
    CHECK(CleanPrompt(prompt) == cleaned);
    CHECK(PromptTexts(PromptFormat::kPi0, prompt, {}) == std::vector<std::string>{cleaned, "\n"});
    ++cases;
  }
  ReportGoldenCases("prompt_text: clean", cases);
}

TEST_CASE("golden: states fall into the reference's bins", "[prompt]") {
  size_t cases = 0;
  const nlohmann::json golden = ReadGoldenJson("transforms/prompt_text.json");
  for (const auto& expected : golden.at("digitize")) {
    const double x = GoldenNumber(expected.at("x"));
    CAPTURE(x);
    CHECK(DiscretizeState(x) == expected.at("digit").get<int>());
    ++cases;
  }
  ReportGoldenCases("prompt_text: digitize", cases);
}

TEST_CASE("golden: prompts with state have the reference's text", "[prompt]") {
  size_t cases = 0;
  const nlohmann::json golden = ReadGoldenJson("transforms/prompt_text.json");
  for (const auto& expected : golden.at("state_prompt")) {
    std::vector<double> state;
    for (const auto& value : expected.at("state")) state.push_back(GoldenNumber(value));
    CHECK(PromptTexts(PromptFormat::kPi05State, expected.at("prompt").get<std::string>(), state) ==
          std::vector<std::string>{expected.at("text").get<std::string>()});
    ++cases;
  }
  ReportGoldenCases("prompt_text: state_prompt", cases);
}

TEST_CASE("bins next to their edges", "[prompt]") {
  for (int bin = 1; bin < 256; ++bin) {
    const double edge = bin / 128.0 - 1.0;
    CHECK(DiscretizeState(edge) == bin);
    CHECK(DiscretizeState(std::nextafter(edge, -2.0)) == bin - 1);
  }
  CHECK(DiscretizeState(-1e-300) == 127);
  CHECK(DiscretizeState(std::nextafter(-1.0, -2.0)) == -1);
}

TEST_CASE("LeRobot's pi0 prompt gets a newline and nothing else", "[prompt]") {
  const auto text = [](const std::string& prompt) {
    return PromptTexts(PromptFormat::kLerobotPi0, prompt, {});
  };
  CHECK(text(" put_the bowl ") == std::vector<std::string>{" put_the bowl \n"});
  CHECK(text(" put_the bowl \n") == std::vector<std::string>{" put_the bowl \n"});
  CHECK(text("") == std::vector<std::string>{"\n"});
}

TEST_CASE("broken UTF-8 is kept when stripping", "[prompt]") {
  CHECK(StripWhitespace(" \xc2 ") == "\xc2");
  CHECK(StripWhitespace("\xe2\x80") == "\xe2\x80");
  CHECK(StripWhitespace(" \n\t ").empty());
}

}  // namespace
}  // namespace vlaserve
